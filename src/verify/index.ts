export type { Certificate } from "./certificate.js";
export { type VerifyOptions, verify } from "./verify.js";
