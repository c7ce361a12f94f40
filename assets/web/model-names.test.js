import assert from "node:assert/strict";
import { test } from "node:test";
import { join, search, split, splitLab } from "./model-names.js";

test("a text is its parts put together", () => {
  for (const text of ["random/resnet18+mhsa@3#1", "resnet50.a1_in1k", "lab/conv", "random/vit_tiny_patch16_224#2", "a+axial"]) {
    assert.equal(join(split(text)), text);
  }
  assert.deepEqual(split(" random/resnet18+mhsa@3#1 "), { origin: "random/", backbone: "resnet18", block: "mhsa", stage: "3", seed: "#1" });
});

test("the laboratory's models", () => {
  assert.deepEqual(splitLab("lab/detect+mhsa#1"), { setup: "detection", block: "mhsa", seed: "1" });
  assert.deepEqual(splitLab("lab/c2f_gate-cue"), { setup: "two cues agree", block: "c2f_gate", seed: "0" });
  assert.deepEqual(splitLab("lab/c2f(levels=2,pyramid=true)#2"), { setup: "levels=2,pyramid=true", block: "c2f", seed: "2" });
  assert.deepEqual(splitLab("lab/conv-aug"), { setup: "any place and size", block: "conv", seed: "0" });
  assert.deepEqual(splitLab("lab/ca_c2f"), { setup: "centred", block: "ca_c2f", seed: "0" });
  assert.equal(splitLab("random/conv"), null);
});

test("names hold every word typed; those that begin with it come first, then the shorter ones", () => {
  const names = ["resnet50.a1", "vit_tiny", "seresnet50", "resnet18", "resnet50.tv", "lab/conv"];
  assert.deepEqual(search("resnet", names, []), ["resnet18", "resnet50.a1", "resnet50.tv", "seresnet50"]);
  assert.deepEqual(search("resnet tv", names, []), ["resnet50.tv"]);
  assert.deepEqual(search("random/vit", names, []), ["random/vit_tiny"]);
  assert.deepEqual(search("conv", names, ["random/convnext"]), ["random/convnext", "lab/conv"]);
  assert.deepEqual(search("", names, ["a", "b"]), ["a", "b"]);
});
