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
  ...["optimizers", "network", "data", "solve", "verify"],
];

const names = new Map<string, string[]>();
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
}, 120_000);

/** An interface or the like, or a class that is exported as a type. */
function isTypeOnly(checker: ts.TypeChecker, symbol: ts.Symbol): boolean {
  const typeOnly = symbol.declarations?.some(ts.isTypeOnlyExportDeclaration) ?? false;
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return typeOnly || !(target.flags & ts.SymbolFlags.Value);
}

describe("public names", () => {
  it("of kfac-webgpu", () => {
    expect(text(namesOf("index"))).toMatchInlineSnapshot(`
      "ADAM_OPTIONS
      APPROXIMATIONS
      APPROXIMATION_STATUS
      AbortedError
      Adam
      Approximation
      ArgumentError
      BatchStream
      CONVOLUTION_METHODS
      CheckpointError
      ConjugateGradients
      DataError
      DeviceLostError
      DeviceMatrices
      EighStatus
      Engine
      GgnBlock
      InvertStatus
      KFAC_OPTIONS
      Kfac
      KfacError
      LINEAR_METHODS
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
      UnsupportedLayerError
      averagePool2d
      axpy
      batchOf
      batchSupplier
      batches
      compareCurvature
      compareLayers
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
      flatten
      gather
      globalAveragePool
      gram
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
      softmaxCrossEntropy
      solveNewton
      tanh
      toF32
      toF64
      type ActivationModule
      type AdamOptions
      type ApproximationKind
      type ApproximationMeasures
      type AxpyOperands
      type Batch
      type BatchSupplier
      type BlockSource
      type BufferRange
      type Capabilities
      type Certificate
      type CgOptions
      type CgProblemOptions
      type CgResult
      type ChangesOf
      type Checkpoint
      type ChoiceOption
      type CompareLayersOptions
      type CompareOptions
      type Conv2dModule
      type Conv2dOptions
      type ConvolutionMethod
      type ConvolutionProblem
      type ConvolutionSolution
      type CurvatureComparison
      type CurvatureOperator
      type CurvatureRows
      type Curved
      type Dataset
      type DenseModule
      type DeviceOptions
      type Direction
      type DirectionContext
      type DirectionKind
      type DirectionReport
      type EigenProblem
      type EighOptions
      type Evaluation
      type FactorGram
      type FactorRows
      type FactorStatistics
      type FisherChoice
      type FisherKind
      type FisherOptions
      type GramOperands
      type HostEigh
      type HostInverse
      type HostMatrix
      type HostNumbers
      type HostOperations
      type IdxArray
      type IdxData
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
      type Model
      type Module
      type NetworkOptions
      type NewtonOptions
      type NewtonProblem
      type NewtonRecord
      type NewtonSolution
      type NumberOption
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
      type PoolModule
      type PreconditionedLayer
      type PreconditionerOptions
      type Readiness
      type RecordOf
      type Recorder
      type Reduction
      type Refinement
      type ReshapeModule
      type ResolvedOptions
      type SandwichOperands
      type Schedule
      type SchemaOf
      type Seam
      type SeamTensors
      type Settings
      type SettingsOf
      type SgdOptions
      type ShapeLike
      type SolverEngine
      type StateTensor
      type Step
      type StepPlan
      type StepRecord
      type Tensor
      type Trainable
      type TrainableLayer
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
      "DiagonalApproximation
      EkfacApproximation
      Factors
      HostOperations
      KroneckerApproximation
      LAYER_STATE_BYTES
      LayerState
      MeanFluctuationApproximation
      PipelineManager
      activationBackwardKernel
      activationKernel
      axpyKernel
      cgKernels
      checkFinite
      checkView
      copyKernel
      copyStrided
      defineKernel
      eighKernels
      factorKernels
      finiteKernel
      fisherKernel
      gramKernels
      gramPacked
      group
      guard
      guardKernel
      invertKernels
      isAligned
      lossKernel
      matmulKernels
      multiplyPacked
      packExamples
      packRows
      packed
      packedTarget
      padded
      paddedLength
      paddedView
      partition
      reduceKernels
      requireShape
      statusText
      type Binding
      type FactorOptions
      type FactorSize
      type FactorUpdate
      type FiniteCheck
      type GuardedCopy
      type Kernel
      type KroneckerKind
      type KroneckerOptions
      type ManagerCounts
      type PackedGram
      type PackedProduct
      type ReadRange
      type Recorder
      type RowPlace
      type StridedCopy
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

  it("what rooms share with one another and programs do not get", () => {
    const bare = (name: string) => name.replace("type ", "");
    const given = new Set([...namesOf("index"), ...namesOf("kernels"), ...namesOf("node")].map(bare));
    const kept = ROOMS.flatMap((room) =>
      namesOf(`${room}/index`)
        .filter((name) => !given.has(bare(name)))
        .map((name) => `${room}: ${name}`),
    );
    expect(text(kept)).toMatchInlineSnapshot(`""`);
  });
});
