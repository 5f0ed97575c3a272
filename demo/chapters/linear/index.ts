import { element, type Mount } from "../../ui/index.js";

export const mount: Mount = async (root) => {
  root.append(element("h2", {}, "linear"));
  return { dispose() {} };
};
