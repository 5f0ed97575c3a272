# // Needs `id`, `count` and `problems`; gives the workgroup's number in all, and its problem's index.
let number = id.x + id.y * count.x;
# include("search_problem");
