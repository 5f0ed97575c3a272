export { type HostEigh, type HostInverse, HostOperations } from "./operations.js";
export {
  DeviceMatrices,
  type HostMatrix,
  type HostNumbers,
  packRows,
  type RowPlace,
  readMatrices,
  readMatrix,
  toF32,
  toF64,
  unpackRows,
} from "./transfer.js";
