-- Returns a function that walks round the ids in the file $BENCH_IDS.
local ids = {}
for line in io.lines(os.getenv("BENCH_IDS")) do
   ids[#ids + 1] = line
end
local position = 0

return function()
   position = position % #ids + 1
   return ids[position]
end
