/** How long an answer took: a figure that opens into its parts. */

import { make } from "./elements.js";
import { latency } from "./wording.js";

const PARTS = {
	end_of_turn_delay: ["End of turn", "waiting for the end of what you said"],
	transcription_delay: ["STT", "from your last sound to its transcript"],
	llm_ttft: ["LLM", "to its first token"],
	tts_ttfb: ["TTS", "to its first sound"],
};

export function latencyFigure(metrics) {
	const whole = metrics?.response_latency;
	if (!Number.isFinite(whole)) return null;
	const parts = Object.entries(PARTS).filter(([name]) => Number.isFinite(metrics[name]));
	return make(
		"details",
		{ className: "latency", ontoggle: ({ target }) => target.scrollIntoView({ block: "nearest" }) },
		make("summary", {}, `answered after ${latency(whole)}`),
		make("dl", {}, ...parts.flatMap(([name, told]) => part(told, metrics[name], whole))),
		make("p", {}, "From your last sound to the first of the answer. Parts may overlap."),
	);
}

function part([title, meaning], seconds, whole) {
	const bar = make("span", { className: "bar" });
	bar.style.inlineSize = `${Math.min(100, (100 * seconds) / whole)}%`;
	return [make("dt", {}, title, " ", make("small", {}, meaning)), make("dd", {}, bar, latency(seconds))];
}
