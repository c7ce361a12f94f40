// What the server sends: explorer/ui/payload.py and its neighbours write it, tests/ui/test_wire.py holds real answers
// against it. Never served.
import type { Place, Question, Scene } from "./view.d.ts";
import type { Message } from "./words.js";

/** A text for people: `say` of words.js says it in the language of the page. */
export type Text = string | Message;

// ---- the envelope of a server function, explorer/ui/live.py

/** kind: "busy", "old" or "superseded"; any other is what is wrong with what was asked. */
export interface Trouble extends Message { kind: string }
export type Reply = { build: string; request: number | null } & ({ ok: unknown; error?: undefined } | { error: Trouble });
/** What is asked: arguments by their names. */
export interface Asking { page: string; build: string; number: number; asked: object }

// ---- an answer: explorer/ui/payload.py, live

/** Height and width, px; or rows and columns. */
export type Size = [number, number];
/** Numbers in a blob: offset in bytes, shape, type of a number. */
export interface Numbers { o: number; s: number[]; t: "f2" | "f4" | "i4" | "u1" }
export interface QueryRows extends Numbers { prefix?: number }
export interface MatrixNumbers extends Numbers { full: Size; step: number; groups: number; heads: number }
/** Rows before and after a move, null where there is no such query: of each pin, by its number, and of each prefix token. */
export type RowsOfQueries = Record<string, (QueryRows | null)[]>;
/** A matrix without a place on the image, before and after a move; one stands for both where nothing moved. */
export interface RowsOfMatrix { matrix: MatrixNumbers[] }

export interface Prediction {
  reason: Text;
  about: Text;
  answer: string;
  decided: (string | number)[];
  top: { index: number; label: string; p: number }[];
}

/** Cells that take weight whatever asks, and their share of all weight: explorer/attention/sinks.py. */
export interface Sinks { cells: number[]; share: number }

interface MapFields {
  layer: string;
  module: string;
  part: string;
  mechanism: string;
  kind: string;
  kind_title: Text;
  unit: Text;
  state: string;
  state_title: string;
  note: Text;
  heads: number;
  layout: Text;
  query_grid: Size | null;
  prefix: string[];
  /** before and after a move: of the mean over heads, then of each head; empty where there are none, null where nobody
   * looked for them yet */
  sinks: (Sinks[] | null)[];
}
export interface MapOnPicture extends MapFields { grid: Size; rows: RowsOfQueries }
export interface MatrixMap extends MapFields { grid: null; rows: RowsOfMatrix }
export type AttentionMap = MapOnPicture | MatrixMap;

export interface Attribution {
  method: string;
  called: Text;
  layer: string;
  target: Text;
  delta: [number | null, number | null];
  unit: Text;
  note: Text;
  state: string;
  state_title: string;
  before: Numbers;
  after: Numbers;
  pulled: Numbers;
  valid: Numbers;
  difference: Numbers;
}
/** Why there is no attribution: "press" where it is computed on demand, "" where the method cannot serve the model. */
export interface NoAttribution { why: string; after?: undefined }

/** linear (x, y) + offset on shares of the frame; cyclic where what leaves on one side comes in on the other. */
export interface Move { linear: [[number, number], [number, number]]; offset: [number, number]; cyclic: boolean }

/** What one model answered. */
export interface Answered {
  asked: string;
  colour: string;
  error?: undefined;
  spec: string;
  state: string;
  state_title: string;
  device: string;
  size: Size;
  shift: [number, number];
  notes: Text[];
  /** why there is no map, "" where there is one */
  no_map: Text;
  move: Move;
  /** numbers of the answer's pictures, before and after the move */
  images: [number, number];
  predictions: [Prediction, Prediction];
  maps: AttentionMap[];
  /** the number of the map that is shown where none was chosen, null without maps */
  opens: number | null;
  attribution: Attribution | NoAttribution;
}
/** Why one model did not. */
export interface Unanswered { asked: string; colour: string; spec: string; error: Text }
export type AnswerRow = Answered | Unanswered;

/** What was asked, as a reply carries it. */
export interface AskedOf {
  models: string[];
  at: Required<Omit<Question, "pins" | "pin" | "method" | "parameters" | "layers" | "heads">>;
  pins: Place[];
  pin: "image" | "place";
  method: string;
  parameters: Record<string, unknown>;
}
export interface LiveAnswer extends AskedOf {
  key: string;
  transform: Text;
  identity: boolean;
  frame: Size;
  truth: string;
  cues: { texture?: string; background?: string };
  notes: Text[];
  gone: Text;
  lost: string;
  rows: AnswerRow[];
  images: (string | Numbers)[];
  /** how much of each cell of the frame a scene's object covers, 0 to 255, before and after the move; none of a picture */
  masks: Numbers[];
  complete: boolean;
  blob: string;
}

// ---- whole maps: explorer/ui/payload.py, bank

interface Tables { keys: Numbers; queries: Numbers }
/** Every weight, or the queries and keys that these are the softmax of; tables say where queries and keys lie. */
export type Weights = ({ weights: Numbers } | { weights?: undefined; q: Numbers; k: Numbers; scale: number }) & Tables;
export type BankMap = { rows?: RowsOfQueries | RowsOfMatrix } & ({ keys?: undefined } | Weights);
export interface Bank {
  key: string;
  layers: (number | string | null)[];
  rows: { maps: Record<string, BankMap> }[];
  blob: string;
}

// ---- a scene's layers and the progress of an attribution

export interface SceneLayers { scene: Required<Scene>; background: string; object: string; share: number }
export interface Progress { share: number; model: string; of: AskedOf }

// ---- answers over a grid of displacements: explorer/ui/places.py

/** px of the first model's input; null for a model that does not know the class */
export interface PlacesRow { dy: number; dx: number[]; models: ({ p: number[]; right: boolean[] } | null)[] }

// ---- the example of a block and its explanation: explorer/ui/tabs/blocks.py

export interface ExampleScene { background: string; object: string; share: number; label: string; dx: number; dy: number }
export interface ExamplePanel {
  title: Text;
  unit: Text;
  picture: boolean;
  /** of a map, what it is: a key of KINDS in explorer/attention/maps.py; Grad-CAM has none */
  kind?: string;
  asked?: boolean;
  line?: "row" | "column" | "cross" | "";
  /** of a map that is asked from a place: the values of each head */
  heads?: number[][];
  of: number;
  rows: number;
  columns: number;
  values: number[];
  low: number;
  high: number;
}
export interface ExampleAnswer {
  block: string;
  spec: string;
  dx: number;
  dy: number;
  pin: Place;
  panels: ExamplePanel[];
  note?: Text;
  state?: string;
  state_title?: string;
  answers?: { label: string; p: number } | null;
}
export interface MeasuredCosts {
  blocks: string[];
  /** grid, positions, then multiply-adds and ms of each block, then how many times dearer the second is */
  rows: [string, number, ...(number | null)[]][];
  counted: Text[];
  channels: number;
}
/** A block's diagram, laid out in px: explorer/blocks/diagram.py */
export interface Diagram {
  width: number;
  height: number;
  boxes: { label: string; role: "step" | "map" | "data" | "join"; at: [number, number]; size: [number, number] }[];
  /** cubic curves of four points, joined by a straight line */
  arrows: [number, number][][];
  key: [number, number] | null;
}
export interface Explanation {
  name: string;
  title: string;
  diagram: Diagram;
  definition: string;
  facts: [Text, Text][];
  strengths: string[];
  weaknesses: string[];
  correction: string;
  options: [string, string, string][];
  order: string;
  cost: string;
  /** lines of Python that use it */
  example: string;
  measured: MeasuredCosts | null;
}

// ---- measurements: explorer/ui/measuring.py

export interface MeasuringState {
  words: Text;
  share: number;
  notes: Text[];
  finding: Text;
  models: { name: Text; spec: string; colour: string }[];
  asked: ProbeAsked | null;
}
/** A measurement as it was asked for. */
export interface ProbeAsked { probe: string; parameters: Record<string, unknown>; shown: string }
export interface ExamplesOptions { bias: string }
/** explorer/ui/examples.py; an answer a picture, fewer for a model that is not shown them all */
export interface ShownExamples {
  pictures: { name: Text; image: string }[];
  models: { name: Text; colour: string; answers: { label: string; p: number }[] }[];
}
export interface ExamplesServer { examples: (body: unknown) => Promise<unknown> }
export interface TableCell { text: Text; value?: number; title?: Text; alike?: boolean }
export interface TableSheet {
  title: Text;
  first?: Text;
  columns: Text[];
  rows: { name: Text; spec?: string; colour: string; cells: TableCell[] }[];
  notes: Text[];
  words?: boolean;
}
/** A point of a curve: x, value, and the ends of its interval. */
export type ToldPoint = [number | Text, number, number | null, number | null];
export interface ToldFigure {
  title: Text;
  unit?: Text;
  ends?: number[];
  axes?: Text[];
  lines?: { name: Text; points: ToldPoint[] }[];
}
/** What a click in a figure goes to, and the figure in words. */
export interface FigureMeta {
  told?: ToldFigure;
  link?: "shift" | "zoom" | "layer";
  layers?: string[][];
  models?: string[];
  sizes?: (Size | [])[];
  own?: number;
}
export interface LinkedFigure extends FigureMeta {
  link: "shift" | "zoom" | "layer";
  layers: string[][];
  models: string[];
  sizes: (Size | [])[];
  /** the place of the model that the figure is about, -1 for one of several */
  own: number;
}

// ---- to take away: explorer/ui/share.py

export interface CodeShown { python: string; command: string; number: number | null }
/** A file that gradio offers. */
export interface OfferedFile { url?: string; orig_name?: string }
/** What kind of file a part tells the end of. */
export interface WrittenOptions { what: "evidence" | "handout" }
/** Of which lesson a handout is asked for, counted from 0. */
export interface HandoutAsked { lesson: number; answers: boolean }

// ---- what parts of the page are made of

/** A declared parameter: its control is made from it. */
export interface Parameter {
  name: string;
  default: string | number | boolean | null;
  text: Text;
  low: number | null;
  high: number | null;
  unit: string;
  choices: string[];
}
export interface EntryParameter extends Parameter { called: string[]; whole: boolean; words: boolean; yes: boolean }
export interface SceneParameter extends Parameter { name: keyof Scene; whole: boolean; step: number | null; arrangements: boolean }
/** The fields of a move that the page has. */
export type MoveName = "dx" | "dy" | "zoom" | "angle" | "flip" | "border";
export interface MoveParameter extends Parameter {
  name: MoveName;
  label: string;
  share?: number;
  step?: number;
  log?: boolean;
  advanced?: boolean;
  picture?: boolean;
}
export interface Method { name: string; called: string; title: string; live: boolean; unit: string; parameters: EntryParameter[] }
export interface Probe {
  name: string;
  title: string;
  formula: string;
  source: string;
  limits: string;
  looks: boolean;
  by_itself: string;
  link: "" | "shift" | "zoom" | "layer";
  /** whether results of laboratory models ship */
  shipped: boolean;
  parameters: EntryParameter[];
}

export interface MastheadOptions { notice: Text; languages: Record<string, string>; build: string }
/** explorer/ui/tabs/board.py: the file that the frame shows */
export interface BoardOptions { file: string }
export interface WaysOptions { tabs: string[]; opens: string; blocks: string[]; biases: number; probes: string[]; folds: string[] }
export interface ModelsOptions {
  most: number;
  /** one a line */
  names: string;
  short: string[];
  lab: string[];
  /** name, question, what it is called */
  blocks: [string, string, string][];
}
export interface SetsOptions { sets: { name: string; title: string; models: string[] }[] }
/** What the models of a set have of their own and do not share, the models themselves first. */
export interface SetTable { name: string; columns: { title: Text; values: string[] }[] }
export interface SetsServer { columns: (body: unknown) => Promise<unknown> }
export interface ControlsOptions {
  moves: MoveParameter[];
  methods: Method[];
  method: string;
  scene: SceneParameter[];
  blank: Required<Scene>;
}
export interface SceneSample { name: string; alt: string; scene: Required<Scene>; image: string }
export interface PhotographSample { name: string; alt: string; image: string }
export interface SamplesOptions { scenes: SceneSample[]; photographs: PhotographSample[]; pictures: string[] }
export interface StageOptions { palettes: Record<string, string[]> }
/** explorer/ui/cards.py; links within the page */
export interface FindingWays { view: string; lesson: string }
export interface FindingBar { name: Text; colour: string; value: number; low: number | null; high: number | null; text: Text }
export interface FindingCard extends FindingWays { name: Text; sentence: Text; bars: FindingBar[] }
/** Gives the cards as JSON. */
export interface CardsServer { cards: (body: unknown) => Promise<unknown> }
/** A block's number; `named` where it is drawn in its colour. */
export interface FindingRow extends FindingBar { named: boolean }
export interface LargeFinding extends FindingWays { name: Text; sentence: Text; rows: FindingRow[]; axis: Text; caption: Text }
/** Two blocks, each trained in two ways. */
export interface FactorTable {
  name: Text;
  axis: Text;
  columns: { name: Text; colour: string }[];
  rows: { name: Text; cells: { value: number; text: Text }[] }[];
  sentence: Text;
}
/** explorer/ui/boxes.py; edges: left, top, right and bottom, shares of the frame */
export interface DrawnBoxes {
  scenes: { image: string; boxes: { edges: number[]; label: string }[] }[];
  panels: {
    block: string;
    name: Text;
    colour: string;
    precision: Text;
    scenes: { boxes: { edges: number[]; label: string; score: number; found: boolean }[]; said: Text }[];
    problem: Text;
  }[];
  note: Text;
}
/** Gives them as JSON. */
export interface BoxesServer { boxes: (body: unknown) => Promise<unknown> }
/** explorer/ui/tabs/lab.py: claims by their verdicts, each with the test that decided */
export interface ClaimsBoard {
  title: Text;
  groups: { verdict: Text; colour: string; claims: { sentence: Text; what: Text; effect: Text; tests: Text[] }[] }[];
  note: Text;
}
export interface ProbeOptions { bias: string; question: Text; intro: Text; probes: Probe[] }
export interface WorkingOptions { bias: string }
export interface BroughtOptions {
  bias: string; layout: Text;
  /** of the files that are taken: how their names end, how many at most, bytes of all and of each at most */
  endings: string[]; most: number; size: number; single: number;
}
/** explorer/ui/measuring.py: a set of pictures that came; `shown` is what is measured on then, `refused` why it is not */
export interface BroughtSet { shown: string; words: Text; notes: Text[]; refused: Text }
/** displacements along a side of the grid */
export interface PlacesOptions { side: number }

// ---- lessons: explorer/lessons and explorer/ui/tabs/lecture.py

/** A state that the page can apply. */
export interface StepState {
  models: string[];
  question: Omit<Question, "scene" | "layers" | "heads"> & { scene: Required<Scene> | null };
  look: Record<string, string | number | boolean>;
}
interface StepFields {
  title: string;
  question: string;
  explanation: string;
  choices: string[];
  right: number;
  panels: string[];
  cover: string[];
  formula: string;
  sources: string[];
  minutes: number;
  notes: string;
}
export type Step = StepFields & (
  | { cost: { blocks: string[]; show: string }; boxes: null; before: null; after: null }
  | { cost: null; boxes: { blocks: string[]; scene: number }; before: null; after: null }
  | { cost: null; boxes: null; before: StepState; after: StepState }
  | { cost: null; boxes: null; before: null; after: null }
);
export interface Lesson { name: string; title: string; steps: Step[] }
/** files: language -> name of the file of the lessons in it; missing: lesson -> models whose weights are not on the server */
export interface LectureOptions { files: Record<string, string>; missing: Record<string, string[]>; colours: Record<string, string>; vote: boolean; course: { minutes: number; lessons: string[] } }
/** explorer/ui/vote.py: what a phone shows; number 0 where nothing is asked, own 0 before a bet, from 1 */
export interface PhoneShown { number: number; question: string; choices: string[]; own: number; said: string }
/** What the lecturer's page is told: of an opened vote; of a question; of its end; or why it was refused. */
export interface VoteRoom { room: string; key: string; address: string; code: string }
export interface VoteCount { votes: number }
export interface VoteCounts { counts: number[] }
export interface VoteRefused { problem: Text; said: string }
/** Positions, multiply-adds and ms of each point. */
export interface BlockCosts { points: [number, number, number][]; channels: number; order: number }
/** What the presenter window is told: target in minutes since the beginning. */
export interface Presented {
  lesson: string; title: string; question: string; explanation: string; notes: string; right: string; place: string; revealed: boolean;
  target: { now: number; all: number };
  next: { title: string; question: string } | null;
}
