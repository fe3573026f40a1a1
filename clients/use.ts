// The generated types in use, with openapi-fetch: paths, parameters, bodies and problems
// are checked by the compiler.
import createClient from "openapi-fetch";
import type { components, paths } from "./typescript/schema";

type Movie = components["schemas"]["movie"];
type MoviePatch = components["schemas"]["movie_patch"];
type Query = NonNullable<paths["/catalog/movies/"]["get"]["parameters"]["query"]>;
type Problem = components["schemas"]["problem"];

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:5000" });

export async function titlesSince(year: number): Promise<string[]> {
  const query: Query = { "year[gte]": year, sort: "-year,title", limit: 50 };
  const { data, error } = await client.GET("/catalog/movies/", { params: { query } });
  if (error) throw new Error(told(error));
  return data.items.map((movie) => movie.title ?? "untitled");
}

export async function addDirector(name: string): Promise<string> {
  const { data, error } = await client.POST("/catalog/directors/", {
    body: { name, born: "1928-05-30" },
  });
  if (error) throw new Error(told(error));
  return data.id;
}

export async function shorten(movie: Movie, runtime: number): Promise<Movie> {
  const body: MoviePatch = { runtime };
  const { data, error } = await client.PATCH("/catalog/movies/{id}", {
    params: {
      path: { id: movie.id },
      header: { "If-Match": `"${movie.version}"` },
    },
    body,
  });
  if (error) throw new Error(told(error));
  return data;
}

function told(problem: Problem): string {
  const places = problem.errors?.map((error) => `${error.pointer}: ${error.detail}`);
  return [problem.detail, ...(places ?? [])].join("\n");
}
