export { type Capabilities, capabilitiesOf } from "./capabilities.js";
export { DeviceHandle, type DeviceOptions, openDevice } from "./device.js";
export { type DryRun, dryRun } from "./dry.js";
