export { type Plan, type Planner, type PlanOptions, plan } from "./plan.js";
