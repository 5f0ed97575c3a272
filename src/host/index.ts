export { type HostEigh, type HostInverse, type HostMatrix, HostOperations } from "./operations.js";
