"""The scripts that make the writes of a request; ``unit.py`` lists the keys."""

from myapp.core.stores.redis.client import LuaScript

# A model: its prefix, with the colon, and the functions on its keys.
PRELUDE = """
local clock = redis.call('TIME')
local NUL = string.char(0)
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function open(prefix)
  local model = {prefix = prefix, ids = prefix .. 'ids'}
  -- While a cluster moves this slot, each of two nodes has a part of the keys, and a
  -- command on several keys is refused when one is missing. No key ends in 'moving',
  -- so the script ends here, before it reads or writes a part.
  redis.call('EXISTS', model.ids, prefix .. 'moving')
  local entries, expires = prefix .. 'entries', prefix .. 'expires'
  function model.leave_indexes(id)
    local known = redis.call('HGET', entries, id)
    if known then
      for field, start in pairs(cjson.decode(known)) do
        -- Older entries hold the whole member.
        local member = string.find(start, '%z') and start or start .. NUL .. id
        redis.call('ZREM', prefix .. 'by:' .. field, member)
      end
      redis.call('HDEL', entries, id)
    end
  end
  function model.forget(id)
    model.leave_indexes(id)
    redis.call('DEL', prefix .. id)
    redis.call('ZREM', model.ids, id)
    redis.call('ZREM', expires, id)
  end
  function model.forget_expired()
    local ended = redis.call('ZRANGEBYSCORE', expires, '-inf', now, 'LIMIT', 0, 1000)
    for _, id in ipairs(ended) do model.forget(id) end
    return #ended
  end
  function model.enter_indexes(id, members)
    redis.call('ZADD', model.ids, 0, id)
    if next(members) then
      local starts = {}
      for field, member in pairs(members) do
        redis.call('ZADD', prefix .. 'by:' .. field, 0, member)
        starts[field] = string.sub(member, 1, -2 - #id)
      end
      redis.call('HSET', entries, id, cjson.encode(starts))
    end
  end
  function model.live(id, life)
    if life > 0 then
      redis.call('PEXPIREAT', prefix .. id, now + life)
      redis.call('ZADD', expires, now + life, id)
    else
      redis.call('ZREM', expires, id)
    end
  end
  return model
end
"""

# KEYS: the prefix of each model that is written. ARGV: the operations of each model, in
# JSON: a list of [id, expected version or false, body or false, milliseconds to live,
# members of the indexes, unique fields, time of creation or false]; then a response to
# keep: its key or an empty string, its value, its milliseconds to live; then the id of
# the promise that is kept, or an empty string, and the milliseconds that a claim or
# the outcome of a promise lasts.
# Opens the models, and checks that the writes can be made.
CHECKS = PRELUDE + """
local kept, value, life = ARGV[#KEYS + 1], ARGV[#KEYS + 2], ARGV[#KEYS + 3]
local promise, lasts = ARGV[#KEYS + 4], ARGV[#KEYS + 5]
local models = {}
local function is_taken(model, field, member)
  local start = string.match(member, '^(1.*%z)')
  if not start then return false end
  local mine = field .. ' ' .. start
  if model.used[mine] then return true end
  model.used[mine] = true
  local low, high = '[' .. start, '(' .. string.sub(start, 1, -2) .. '\1'
  local index = model.prefix .. 'by:' .. field
  for _, found in ipairs(redis.call('ZRANGEBYLEX', index, low, high)) do
    local other = string.match(found, '^.*%z(.*)$')
    if not model.written[other] then
      if redis.call('EXISTS', model.prefix .. other) == 1 then return true end
    end
  end
  return false
end
local function claims(model, operation)
  local claimed = {model.prefix .. 'claim:' .. operation[1]}
  for _, field in ipairs(operation[3] and operation[6] or {}) do
    local start = string.match(operation[5][field], '^(1.*%z)')
    if start then
      table.insert(claimed, model.prefix .. 'claim:' .. field .. ' ' .. start)
    end
  end
  return claimed
end
local function is_stale(model, operation)
  local version, unique = operation[2], operation[3] and operation[6] or {}
  for _, claim in ipairs(claims(model, operation)) do
    local other = redis.call('GET', claim)
    if other and other ~= promise then return true end
  end
  local body = redis.call('GET', model.prefix .. operation[1])
  if not version and body then return true end
  if version and not body then return true end
  if version then
    local stored, created = cjson.decode(body), operation[7]
    if stored.version ~= version then return true end
    if created and stored.created_at ~= created then return true end
  end
  for _, field in ipairs(unique) do
    if is_taken(model, field, operation[5][field]) then return true end
  end
  return false
end
local function open_models()
  for number, prefix in ipairs(KEYS) do
    local model = open(prefix)
    model.operations, model.written, model.used = cjson.decode(ARGV[number]), {}, {}
    for _, operation in ipairs(model.operations) do
      model.written[operation[1]] = true
    end
    models[number] = model
  end
end
local function each_operation(call)
  for _, model in ipairs(models) do
    for _, operation in ipairs(model.operations) do
      if call(model, operation) then return true end
    end
  end
end
local function refusal()
  for _, model in ipairs(models) do model.forget_expired() end
  if kept ~= '' and redis.call('EXISTS', kept) == 1 then return -1 end
  if each_operation(is_stale) then return -2 end
  return 0
end
open_models()
"""

# Makes the writes. Returns 0; -1 when there is a response for the key, or -2 when a
# record has changed since it was read, a value is taken, or another request has
# promised to write it; then nothing is written. A promise is kept once: each further
# call returns what the first one did.
COMMIT = LuaScript(CHECKS + """
local marker = KEYS[1] .. 'promise:' .. promise
if promise ~= '' then
  local before = redis.call('GET', marker)
  if before then return tonumber(before) end
end
local refused = refusal()
if promise ~= '' then
  -- The first write, because Redis refuses only the first one when it is full.
  redis.call('SET', marker, refused, 'PX', lasts)
  each_operation(function(model, operation)
    redis.call('DEL', unpack(claims(model, operation)))
  end)
end
if refused ~= 0 then return refused end
each_operation(function(model, operation)
  local id, body = operation[1], operation[3]
  if body then
    redis.call('SET', model.prefix .. id, body)
    model.leave_indexes(id)
    model.enter_indexes(id, operation[5])
    model.live(id, operation[4])
  else
    model.forget(id)
  end
end)
if kept ~= '' then redis.call('SET', kept, value, 'PX', life) end
return 0
""")

# Checks that the writes can be made, and lets nobody else write these records and
# values for some milliseconds. Returns as COMMIT does.
PROMISE = LuaScript(CHECKS + """
local refused = refusal()
if refused ~= 0 then return refused end
each_operation(function(model, operation)
  for _, claim in ipairs(claims(model, operation)) do
    redis.call('SET', claim, promise, 'PX', lasts)
  end
end)
return 0
""")

# Gives up a promise.
WITHDRAW = LuaScript(CHECKS + """
each_operation(function(model, operation)
  for _, claim in ipairs(claims(model, operation)) do
    if redis.call('GET', claim) == promise then redis.call('DEL', claim) end
  end
end)
return 0
""")

# KEYS: the prefix of a model. Removes some of the records that have expired from its
# indexes; returns how many.
CLEAN = LuaScript(PRELUDE + """
return open(KEYS[1]).forget_expired()
""")
