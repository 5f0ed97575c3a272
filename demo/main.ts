// The page: navigation, theme, and the one chapter that is open.
import { Shell } from "./shell.js";

const shell = new Shell(document);
shell.start();
