// What the page's modules hand to each other. Never served.
import type { Place, Question, Scene } from "./view.d.ts";
import type {
  Answered, AnswerRow, Bank, BroughtSet, ControlsOptions, FigureMeta, LinkedFigure, LiveAnswer, MastheadOptions, ModelsOptions,
  Move, ProbeAsked, Progress, SamplesOptions, Size, StageOptions, WaysOptions, WrittenOptions,
} from "./wire.d.ts";

// ---- gradio's handles of a part, as js_on_load gets them

export interface Handles<Value = unknown, Options = unknown, Server = unknown> {
  element: HTMLElement;
  trigger: Trigger;
  props: { value: Value };
  watch: (name: "value", listener: () => void) => void;
  /** brings a file to the server; what it is called there */
  upload: (file: File) => Promise<{ path: string }>;
  server: Server;
  options: Options;
}
/** The same as gradio gives them: what a part needs to know is a text. */
export interface GradiosHandles extends Omit<Handles, "options" | "props" | "server"> {
  props: { value: unknown; options: string };
  server: Record<string, Call>;
}
export type Trigger = (event: string, data?: unknown) => void;
/** A server function as gradio gives it: what goes over and comes back is told in wire.d.ts. */
export type Call = (body: unknown) => Promise<unknown>;

/** What a part of the first view has to know, and what it shows at first. */
interface Opened<Options = null, First = null> { label: string; options: Options; first: First }
/** What the page opens with: the parts that need each other. */
export interface Opening {
  masthead: Opened<MastheadOptions>;
  ways: Opened<WaysOptions>;
  models: Opened<ModelsOptions, string[]>;
  controls: Opened<ControlsOptions, Question>;
  scene: Opened<null, string>;
  samples: Opened<SamplesOptions>;
  stage: Opened<StageOptions, string | null>;
}

// ---- making elements

/** What a listener of an element gets. */
type Listeners = { [Name in keyof HTMLElementEventMap as `on${Name}`]?: (event: HTMLElementEventMap[Name]) => void };
export type Attributes = Listeners & { text?: string | number | null; [name: string]: unknown };

// ---- what is asked

/** The question as the page holds it: every part has a value. */
export type Asked = Required<Omit<Question, "scene" | "layers" | "heads">> & { scene: Required<Scene> | null };
/** What of it is a number, and moves. */
export type Numeric = "dx" | "dy" | "zoom" | "angle";

export type View = "after" | "before" | "pulled" | "difference";
export interface Look {
  view: View;
  overlay: boolean;
  opacity: number;
  smooth: boolean;
  threshold: number;
  map: string;
  scale: string;
  /** what colours are by: the values, or their ranks */
  steps: "linear" | "percentile";
  token: boolean;
  /** whether attention sinks are hidden */
  sinkless: boolean;
  layout: string;
  /** each model by itself, or one minus another: the numbers of the two, from 1 */
  show: "each" | "minus";
  first: string;
  second: string;
}

/** The page's whole state. */
export interface State {
  models: string[];
  question: Partial<Asked>;
  look: Partial<Look>;
  layers: Record<string, string>;
  tab: string;
  bias: number | "";
  /** chosen in the bias that is open, "" where that shows the one it opens with */
  probe: string;
  block: string;
  fold: string;
  lecture: { lesson: string; step: number; revealed: boolean } | null;
}

// ---- what is shown

export type Blob = Uint8Array<ArrayBuffer>;
/** An answer with its numbers decoded. */
export type Answer = Omit<LiveAnswer, "blob"> & { blob: Blob };
/** A bank likewise; tried: "model layer" of what was asked for. */
export type DecodedBank = Omit<Bank, "blob"> & { blob: Blob; tried: Set<string> };
export interface Decoded { colour: HTMLImageElement | HTMLCanvasElement; grey: HTMLCanvasElement }

/** Colours of a scale: which map, and the values at its ends. */
export interface Range { map: string; low: number; high: number }
export type Values = ArrayLike<number> & Iterable<number>;
/** A map before it is painted; maps of one key can share a scale. */
export interface Drawing {
  key: string;
  arrays: Values[];
  fixed?: [number, number] | null;
  signed: boolean;
  paint: (range: Range) => void;
}
/** Cells with values; what `valid` says 0 of shows nothing of the picture. */
export interface Cells { values: Values; rows: number; columns: number; valid: ArrayLike<number> | null }
/** `outside`: what is said of a cell that is not valid. */
export interface PaintedMap extends Cells { range: Range; signed?: boolean; outside?: (at: number) => string }

export interface Panel {
  element: HTMLElement;
  canvas: HTMLCanvasElement;
  blank: HTMLElement;
  tip: HTMLElement;
  low: HTMLElement;
  high: HTMLElement;
  strip: HTMLElement;
  unit: HTMLElement;
  scale: HTMLElement;
  reading: HTMLElement;
  where: HTMLElement;
  network: HTMLElement;
  about: HTMLElement;
  badge: HTMLElement;
  note: HTMLElement;
  shown: (PaintedMap & { unit: string }) | null;
  /** what the reading says while nothing is pointed at */
  rest: string;
}

/** What can be taken away: a canvas, what a file of it is called, and its panel where it has one. */
export interface TakenFrom { canvas: HTMLCanvasElement; name: string; part: Panel | null }
export interface Dial { element: HTMLElement; show: (value: number, most: number, text: string) => void }

/** A model's row. */
export interface Row {
  index: number;
  /** the model's part of an answer, and that answer */
  data: AnswerRow | null;
  answer: Answer | null;
  /** which layer, which of its maps, which head (-1: their mean), and the number of the map that this comes to */
  layer: number | null;
  part: string | null;
  head: number;
  map: number | null;
  /** whether numbers that are wanted are not here */
  missing: boolean;
  element: HTMLElement;
  headline: HTMLElement;
  badge: HTMLElement;
  device: HTMLElement;
  notes: HTMLElement;
  problem: HTMLElement;
  top: HTMLElement;
  topReason: HTMLElement;
  verdict: HTMLElement;
  key: HTMLElement;
  seen: Panel;
  attention: Panel;
  attribution: Panel;
  layerDial: Dial;
  headDial: Dial;
  parts: HTMLSelectElement;
  partDial: HTMLElement;
  others: HTMLElement;
  heads: HTMLElement;
  chooseHead: (head: number) => void;
  compute: HTMLButtonElement;
}
/** A row whose model has answered. */
export type AnsweredRow = Row & { data: Answered };

// ---- news, told and heard over bus.js

export interface Figure { meta: LinkedFigure; places: number[] }
/** What of a question is answered is told by `at`, in question.js. */
export interface ProbeWanted { probe: string; parameters: Record<string, unknown>; shown: string }

export interface News {
  answered: undefined;
  ask: Place;
  asked: Asked;
  block: string;
  chose: string;
  code: (wanted: ProbeWanted) => void;
  did: undefined;
  due: undefined;
  frame: Size;
  hover: undefined;
  layer: { model: number; path: string };
  look: undefined;
  looked: undefined;
  models: string[];
  notice: string;
  pins: undefined;
  probe: string;
  progress: Partial<Progress> & { share: number };
  question: Asked;
  resized: undefined;
  restoring: State;
  revealed: undefined;
  said: string;
  source: Asked;
  state: undefined;
  tab: string;
  takeaway: { button: HTMLElement; title: string } & TakenFrom;
  unrestored: string[];
  written: WrittenOptions["what"];
  [brought: `brought-${string}`]: BroughtSet;
  [figure: `figure-${string}`]: Figure;
  [measuring: `measuring-${string}`]: boolean;
  [working: `working-${string}`]: { share: number };
  [measured: `measured-${string}`]: ProbeAsked | null;
}

/** A figure of plotly in the page. */
export interface PlotlyFigure extends HTMLElement {
  on?: (event: "plotly_click", listener: (event: { points: PlotlyPoint[] }) => void) => void;
  layout?: { meta?: FigureMeta };
  data?: { x?: ArrayLike<unknown> }[];
}
export interface PlotlyPoint { x: number; y: number; z?: number; data: { name: string } }
