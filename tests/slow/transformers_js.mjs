// Embeds texts and a picture by transformers.js: node transformers_js.mjs FOLDER REQUEST.json
import {
  AutoProcessor, AutoTokenizer, CLIPTextModelWithProjection, CLIPVisionModelWithProjection,
  RawImage, env,
} from "@huggingface/transformers";
import fs from "node:fs";

env.allowRemoteModels = false;
env.localModelPath = "/";
const [folder, request] = process.argv.slice(2);
const { texts, size, pixels } = JSON.parse(fs.readFileSync(request));
const tokenizer = await AutoTokenizer.from_pretrained(folder);
const processor = await AutoProcessor.from_pretrained(folder);
const found = {};
for (const dtype of ["fp32", "fp16", "q8"]) {
  const text = await CLIPTextModelWithProjection.from_pretrained(folder, { dtype });
  const { text_embeds } = await text(tokenizer(texts, { padding: true, truncation: true }));
  const vision = await CLIPVisionModelWithProjection.from_pretrained(folder, { dtype });
  const image = new RawImage(Uint8ClampedArray.from(pixels), size, size, 3);
  const { image_embeds } = await vision(await processor(image));
  found[dtype] = [...text_embeds.tolist(), ...image_embeds.tolist()];
}
console.log(JSON.stringify(found));
