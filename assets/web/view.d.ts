// What a page asks: made from the schema of explorer.view by `python -m explorer.view --types`. Do not edit.

export interface Scene {
  /** the class: a shape or an arrangement */
  label?:
    | "square"
    | "star"
    | "cross"
    | "ring"
    | "crescent"
    | "heart"
    | "bar"
    | "drop"
    | "triangle above circle"
    | "circle above triangle"
    | "triangle left of circle"
    | "circle left of triangle";
  /** texture of the object */
  texture?:
    | "stripes"
    | "checks"
    | "dots"
    | "rings"
    | "zigzag"
    | "grid"
    | "bricks"
    | "speckle"
    | "rays"
    | "waves"
    | "pales"
    | "plain";
  /** what lies behind it */
  background?:
    | "red noise"
    | "red gradient"
    | "red clutter"
    | "red weave"
    | "green noise"
    | "green gradient"
    | "green clutter"
    | "green weave"
    | "blue noise"
    | "blue gradient"
    | "blue clutter"
    | "blue weave";
  /** shift to the right, of the frame */
  dx?: number;
  /** shift down, of the frame */
  dy?: number;
  /** size over the training size, x */
  scale?: number;
  /** turn of each part, clockwise, degrees */
  angle?: number;
  /** turn of an arrangement's axis, degrees */
  tilt?: number;
  /** distance of an arrangement's parts, x */
  gap?: number;
  /** how far the outline bends, of the radius */
  wobble?: number;
  /** strength of light and shadow */
  shade?: number;
  /** how many sticks lie about, of the most there are */
  clutter?: number;
  /** amplitude of the pixel noise, of full contrast */
  noise?: number;
  /** decides colours, details, light and noise */
  seed?: number;
}

export interface Place {
  x: number;
  y: number;
}

export interface Question {
  scene?: Scene | null;
  /** a sample photograph's name, or own:ID of one's own */
  picture?: string;
  /** shift to the right, px */
  dx?: number;
  /** shift down, px */
  dy?: number;
  /** rescale; 2 shows everything twice as large */
  zoom?: number;
  /** turn anticlockwise, degrees */
  angle?: number;
  /** mirror left to right */
  flip?: boolean;
  /** what fills in beside the picture */
  border?: "zero" | "mean" | "reflect" | "wrap";
  pins?: Place[];
  pin?: "image" | "place";
  method?: string;
  parameters?: Record<string, unknown>;
  layers?: (number | string | null)[];
  heads?: (number | null)[];
}

export interface Request {
  models: string[];
  question: Question;
}
