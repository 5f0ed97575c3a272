export { type HostEigh, type HostInverse, HostOperations } from "./operations.js";
export {
  DeviceMatrices,
  type F64Matrix,
  type HostMatrix,
  type HostNumbers,
  packRows,
  type RowLayout,
  readMatrices,
  readMatrix,
  toF32,
  toF64,
  unpackRows,
} from "./transfer.js";
