/** The page after a call: the story to read, copy and save, and the facts of the call. */

import { byId, make, tell } from "./elements.js";
import { notice } from "./notices.js";
import { clock, latency, naming, pairs, spaced } from "./wording.js";

const REASONS = {
	finished: "The story is over.",
	caller_left: "You ended the call.",
	caller_silent: "Nothing more was heard from you.",
	time_limit: "The time was up.",
	error: "Something went wrong.",
	shutdown: "The server was stopped.",
	lost: "The connection was lost.",
};

let chain, personas, stacks, began, transport, end, nameOf, lines;

/** @param journal {setup, stacks, began, transport, events, end}; end is a call_ended, maybe of the page's own making */
export function showAfter({ setup, events, ...journal }) {
	({ stacks, began, transport, end } = journal);
	({ chain, personas } = setup);
	nameOf = naming(personas);
	lines = events.filter(({ type }) => ["user_turn", "agent_turn", "handoff"].includes(type));
	end.data ??= Object.assign({}, ...events.map(({ type, arguments: values }) => type === "tool_call" && values));
	tell("ended-because", `${because()} ${end.detail ?? ""}`);
	byId("after").dataset.reason = end.reason;
	byId("story").replaceChildren(...(lines.length ? lines.map(paragraph) : ["Nothing was said in this call."]));
	byId("facts").replaceChildren(
		...facts().flatMap(([name, ...values]) => [make("dt", {}, name), ...values.map((value) => make("dd", {}, value))]),
	);
}

byId("copy").addEventListener("click", async () => {
	try {
		await navigator.clipboard.writeText(markdown());
		notice("The story is copied.");
	} catch {
		getSelection().selectAllChildren(byId("story"));
		notice("The story is selected: copy it with your keyboard.");
	}
});

byId("save").addEventListener("click", () => {
	const href = URL.createObjectURL(new Blob([markdown()], { type: "text/markdown" }));
	make("a", { href, download: `${chain}-${began.toISOString().slice(0, 16).replace(":", "")}.md` }).click();
	setTimeout(() => URL.revokeObjectURL(href), 10_000);
});

const because = () => REASONS[end.reason] ?? spaced(end.reason);
const speaker = ({ type, persona }) => (type === "user_turn" ? "You" : nameOf(persona));
const words = ({ text, interrupted }) => (interrupted ? `${text} —` : text);

function paragraph(line) {
	if (line.type === "handoff") return make("p", { className: "scene" }, nameOf(line.to));
	return make("p", { className: line.type }, make("span", { className: "speaker" }, speaker(line)), " ", words(line));
}

function markdown() {
	const plain = (text) => text.replace(/\s+/g, " ").replace(/[\\`*_[\]<>#|]/g, "\\$&");
	const told = lines.map((line) =>
		line.type === "handoff" ? `## ${plain(nameOf(line.to))}` : `**${plain(speaker(line))}:** ${plain(words(line))}`,
	);
	const list = facts().map(([name, ...values]) => `- ${name}: ${plain(values.join("; "))}\n`);
	return [`# ${plain(chain)}, ${began.toLocaleString()}`, ...told, "## The call", list.join("")].join("\n\n");
}

function facts() {
	const turns = (wanted) => lines.filter(({ type }) => type === wanted);
	const theirs = turns("agent_turn");
	const times = theirs.map(({ metrics }) => metrics?.response_latency).filter(Number.isFinite).sort((a, b) => a - b);
	const median = (times[(times.length - 1) >> 1] + times[times.length >> 1]) / 2;
	return [
		["Length", clock(end.duration)],
		["Ended because", because()],
		["Personas and stacks", ...personas.map(({ key }) => `${nameOf(key)}: ${stacks[key]}`)],
		["Gathered", pairs(end.data) || "nothing"],
		["Turns", `${turns("user_turn").length} yours, ${theirs.length} theirs`],
		["Interrupted", `${theirs.filter(({ interrupted }) => interrupted).length} of theirs`],
		["Median latency", times.length ? `${latency(median)}, of ${times.length} measured` : "not measured"],
		["Handoff, from your last word", ...turns("handoff").map(({ gap }) => gap).filter(Number.isFinite).map(latency)],
		["Transport", transport],
		...Object.entries(end.usage ?? {}).map(([key, models]) => [`Used by ${nameOf(key)}`, ...models.map(usage)]),
		["Cost", end.cost == null ? [] : `${end.cost}`].flat(),
	].filter((fact) => fact.length > 1);
}

/** What one model counted: tokens, characters, seconds. */
function usage({ type, provider, model, ...counts }) {
	for (const name in counts) counts[name] = Math.round(counts[name] * 10) / 10 || counts[name];
	return `${model ?? provider ?? type}: ${pairs(counts)}`;
}
