/**
 * The public names, so that none comes or goes by accident. Deliberate changes: `npx vitest --project=package
 * test/package/names -u`, and look at what it wrote.
 */
import { join } from "node:path";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { root } from "./project.js";

const ENTRIES = ["index", "node", "kernels", "reference/index"];
/** Rooms whose index.ts says what others may use. */
const ROOMS = [
  ...["pipeline", "linalg", "host", "model", "curvature"],
  ...["optimizers", "network", "data", "training", "solve", "verify"],
];

const names = new Map<string, string[]>();
/** Modules outside of the package that an entry reaches, by entry. */
const outside = new Map<string, Set<string>>();
const file = (name: string) => join(root, "src", `${name}.ts`);
const namesOf = (entry: string) => names.get(file(entry))!;
const text = (list: readonly string[]) => list.join("\n");

beforeAll(() => {
  const files = [...ENTRIES, ...ROOMS.map((room) => `${room}/index`)].map(file);
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram(files, options);
  const checker = program.getTypeChecker();
  for (const name of files) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(name)!);
    const found = checker.getExportsOfModule(module!).map((symbol) => {
      const kind = isTypeOnly(checker, symbol) ? "type " : "";
      return kind + symbol.name;
    });
    names.set(name, found.sort());
  }
  for (const entry of ENTRIES) outside.set(entry, reachedFrom(file(entry), program));
}, 120_000);

/** Packages and built-in modules that a file, or one that it imports, asks for. */
function reachedFrom(start: string, program: ts.Program): Set<string> {
  const reached = new Set<string>();
  const seen = new Set([start]);
  for (const name of seen) {
    for (const { fileName } of ts.preProcessFile(program.getSourceFile(name)!.text).importedFiles) {
      const { resolvedModule } = ts.resolveModuleName(fileName, name, program.getCompilerOptions(), ts.sys);
      if (!fileName.startsWith(".")) reached.add(fileName);
      else if (resolvedModule?.extension === ".ts") seen.add(resolvedModule.resolvedFileName);
    }
  }
  return reached;
}

/** An interface or the like, or a class that is exported as a type. */
function isTypeOnly(checker: ts.TypeChecker, symbol: ts.Symbol): boolean {
  const typeOnly = symbol.declarations?.some(ts.isTypeOnlyExportDeclaration) ?? false;
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return typeOnly || !(target.flags & ts.SymbolFlags.Value);
}

describe("public names", () => {
  it("of kfac-webgpu", () => {
    expect(text(namesOf("index"))).toMatchInlineSnapshot(`
      "ADAMW_OPTIONS
      ADAM_OPTIONS
      APPROXIMATIONS
      APPROXIMATION_STATUS
      AbortedError
      Adam
      AdamW
      Approximation
      ArgumentError
      BLOCK_KINDS
      BatchStream
      CONVOLUTION_METHODS
      CheckpointError
      ConjugateGradients
      Curvature
      CurvatureTrials
      DataError
      DeviceLostError
      DeviceMatrices
      DiagonalBlock
      EigenBlock
      EighStatus
      EkfacBlock
      Engine
      FALLBACKS
      FeatureError
      FitAbortedError
      FullBlock
      GgnBlock
      GpuDataset
      GradientBlock
      InvertStatus
      KFAC_OPTIONS
      Kfac
      KfacError
      KroneckerBlock
      LINEAR_METHODS
      LayerStates
      LimitError
      NEWTON_OPTIONS
      Network
      Newton
      NoAdapterError
      NotPositiveDefiniteError
      Optimizer
      OutOfMemoryError
      Preconditioner
      Profiler
      SGD_OPTIONS
      STEP_OPTIONS
      Sgd
      ShaderError
      ShapeError
      SubmissionError
      UnsupportedLayerError
      add
      averagePool2d
      axpy
      batchOf
      batchSupplier
      batches
      compareCurvature
      compareLayers
      concat
      conjugateGradients
      constant
      conv2d
      copy
      cosine
      createApproximation
      createEngine
      decodeCheckpoint
      defineDirection
      dense
      denseHessian
      diagonalOf
      eigh
      encodeCheckpoint
      fit
      flatten
      gather
      globalAveragePool
      gram
      graph
      halfSquaredError
      imageDataset
      invert
      kroneckerSum
      labelledData
      leakyRelu
      linear
      logistic
      matmul
      maxPool2d
      microBatches
      oneHot
      option
      parseIdx
      readIdx
      readMatrices
      readMatrix
      reduce
      relu
      restoreRun
      sandwich
      saveRun
      sigmoidCrossEntropy
      snapshot
      softmaxCrossEntropy
      solveNewton
      tanh
      tied
      toF32
      toF64
      type ActivationModule
      type AdamOptions
      type AdamWOptions
      type AddModule
      type AnyBatch
      type ApproximationKind
      type ApproximationMeasures
      type ApproximationOptions
      type AutotuneOptions
      type AxpyOperands
      type Batch
      type BatchInputs
      type BatchSequence
      type BatchSupplier
      type Block
      type BlockBatch
      type BlockChoice
      type BlockDescription
      type BlockFactory
      type BlockItem
      type BlockKind
      type BlockOptions
      type BlockPlace
      type BlockProduct
      type BlockSite
      type BlockSource
      type BlockTrials
      type BlockUpdate
      type BufferRange
      type Capabilities
      type Certificate
      type CgOptions
      type CgProblemOptions
      type CgResult
      type ChangesOf
      type Checkpoint
      type ChoiceOption
      type CommandRecorder
      type CompareLayersOptions
      type CompareOptions
      type ConcatModule
      type ControlReport
      type Conv2dModule
      type Conv2dOptions
      type ConvolutionMethod
      type ConvolutionProblem
      type ConvolutionSolution
      type CurvatureComparison
      type CurvatureLayer
      type CurvatureLine
      type CurvatureOperator
      type CurvatureOptions
      type CurvatureRows
      type CurvatureStatistics
      type Curved
      type Dataset
      type DatasetArray
      type DatasetBatch
      type DatasetSource
      type DenseModule
      type DenseOptions
      type DeviceOptions
      type Direction
      type DirectionContext
      type DirectionKind
      type DirectionReport
      type EarlyStopping
      type EigenProblem
      type EighOptions
      type EpochSummary
      type Evaluation
      type ExampleSource
      type F64Matrix
      type FactorGram
      type FactorRows
      type FactorStatistics
      type Fallback
      type FisherChoice
      type FisherKind
      type FisherOptions
      type FitData
      type FitEnd
      type FitExamples
      type FitHistory
      type FitMetric
      type FitNetwork
      type FitOptimizer
      type FitOptions
      type FitPosition
      type FitProgress
      type FlattenModule
      type FunctionType
      type GlobalPoolModule
      type GpuDatasetOptions
      type GramOperands
      type Graph
      type GraphValue
      type HostEigh
      type HostInverse
      type HostMatrix
      type HostNumbers
      type HostOperations
      type IdxArray
      type IdxData
      type IndexedExamples
      type InputArray
      type InputForm
      type InputShape
      type Inversion
      type InvertBuffers
      type JsonObject
      type JsonValue
      type KernelTime
      type KfacErrorCode
      type KfacOptions
      type KroneckerSumExamples
      type LabelledData
      type LabelledImages
      type LayerComparison
      type LayerDescription
      type LayerSize
      type LayerSolve
      type LayerStatistics
      type LayerStatus
      type LinearMethod
      type LinearOperator
      type LinearProblem
      type LinearSolution
      type Loss
      type MatmulOperands
      type Matrix
      type MatrixView
      type MicroBatches
      type Model
      type ModelBatch
      type Module
      type MovingKind
      type NetworkOptions
      type NewtonOptions
      type NewtonProblem
      type NewtonRecord
      type NewtonSolution
      type NumberOption
      type NumberPlace
      type OneHotModule
      type OptimizerMemory
      type OptimizerOptions
      type OptimizerState
      type OptionEntry
      type OptionRange
      type OptionSchema
      type OptionValue
      type OptionsOf
      type Pair
      type Pass
      type PipelineManager
      type Plan
      type PlanOptions
      type PoolModule
      type PoolOptions
      type Precision
      type PreconditionOperands
      type PreconditionedLayer
      type PreconditionerOptions
      type ProductSize
      type Readiness
      type RecordOf
      type Recorder
      type Reduction
      type Refinement
      type ResolvedOptions
      type SandwichOperands
      type SavedNetwork
      type SavedOptimizer
      type Schedule
      type SchemaOf
      type Seam
      type SeamTensors
      type Settings
      type SettingsOf
      type SgdOptions
      type ShapeLike
      type ShuffledOrder
      type Snapshot
      type SolverEngine
      type StateTensor
      type Step
      type StepBatch
      type StepPlan
      type StepRecord
      type StorageOptions
      type StoredNumber
      type Tensor
      type TiedModule
      type Trainable
      type TrainableLayer
      type TunedProducts
      type TuningStorage
      type Update
      type VerifyOptions
      type WithStepOptions
      verify
      warmUp"
    `);
  });

  it("of kfac-webgpu/node: the same, and what needs Node", () => {
    const common = namesOf("index");
    expect(namesOf("node")).toEqual(expect.arrayContaining(common));
    expect(text(namesOf("node").filter((name) => !common.includes(name)))).toMatchInlineSnapshot(`
      "createNodeEngine
      nodeGpu
      readCheckpoint
      readIdxFolder
      replaceFile
      writeCheckpoint"
    `);
  });

  it("of kfac-webgpu/kernels", () => {
    expect(text(namesOf("kernels"))).toMatchInlineSnapshot(`
      "HostOperations
      LAYER_STATE_BYTES
      LayerState
      PipelineManager
      Values
      activationBackwardKernel
      activationKernel
      asked
      axpyKernel
      checkFinite
      checkView
      copyKernel
      copyStrided
      defineKernel
      exampleRows
      finiteKernel
      gramPacked
      group
      guard
      guardKernel
      inLockstep
      isAligned
      layerKinds
      lossKernel
      multiplyPacked
      packExamples
      packRows
      packed
      packedTarget
      padded
      paddedLength
      paddedView
      partition
      registerLayer
      requireShape
      statusText
      twinOf
      type Activation
      type Binding
      type FiniteCheck
      type Form
      type Grouped
      type GuardedCopy
      type ImageForm
      type IndicesForm
      type Kernel
      type Layer
      type LayerKind
      type LayerModule
      type LayerProduct
      type ManagerCounts
      type Neighbours
      type OutputPlaces
      type PackedGram
      type PackedProduct
      type ParameterPlace
      type ReadRange
      type RecordedPass
      type Recorder
      type Resources
      type Room
      type RowLayout
      type SequenceForm
      type Site
      type Steps
      type StridedCopy
      type Strides
      type Traits
      type Twin
      type VectorForm
      type Workspace
      unpackRows
      withConstants"
    `);
  });

  it("no value is in two entries", () => {
    const values = ["index", "kernels"].flatMap((entry) =>
      namesOf(entry).filter((name) => !name.startsWith("type ")),
    );
    expect(values.filter((name, k) => values.indexOf(name) !== k)).toEqual([]);
  });

  it("what a page loads needs no file system", () => {
    for (const entry of ["index", "kernels"]) expect([...outside.get(entry)!]).toEqual(["typegpu"]);
    expect([...outside.get("reference/index")!]).toEqual([]);
    expect([...outside.get("node")!].sort()).toEqual([
      "node:fs",
      "node:path",
      "node:worker_threads",
      "node:zlib",
      "typegpu",
      "webgpu",
    ]);
  });

  it("what rooms share with one another and programs do not get", () => {
    const bare = (name: string) => name.replace("type ", "");
    const given = new Set([...namesOf("index"), ...namesOf("kernels"), ...namesOf("node")].map(bare));
    const kept = ROOMS.flatMap((room) =>
      namesOf(`${room}/index`)
        .filter((name) => !given.has(bare(name)))
        .map((name) => `${room}: ${name}`),
    );
    expect(text(kept)).toMatchInlineSnapshot(`
      "linalg: PRECISION
      linalg: autotune
      linalg: requirePrecision
      model: gramInSteps
      model: gramSteps
      model: turnsOf
      model: type Turns
      curvature: CurvatureSums
      curvature: withoutMicroBatches"
    `);
  });
});
