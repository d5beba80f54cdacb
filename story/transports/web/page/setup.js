/** The page before a call: the personas, a stack for each, and whether a call can be held now. */

import { fetchSetup } from "./api.js";
import { byId, make, tell, unseen } from "./elements.js";
import { pause } from "./wait.js";

const LOADING = 1000; // ms until the server is asked again
const TROUBLED = 3000;

export function makeSetup(start) {
	const selects = {};
	let facts = null;
	let round = 0;

	byId("setup-form").addEventListener("submit", (event) => {
		event.preventDefault();
		if (!byId("start").disabled) start();
	});

	const stacks = () => Object.fromEntries(Object.entries(selects).map(([key, { value }]) => [key, value]));

	/** What there is to say, how it is, and when to ask again. */
	function judge({ error, ready, calls }) {
		if (error) return [error, "error", TROUBLED];
		if (!Object.values(stacks()).every(Boolean)) return ["No stack can run here: see below what each needs.", "error", TROUBLED];
		if (!ready) return ["Loading the models…", "loading", LOADING];
		if (calls?.active < calls?.max || !calls) return ["Your browser will ask for the microphone.", "ready", 0];
		return [`Full house: ${calls.max > 1 ? `all ${calls.max} lines are` : "the line is"} taken. This page watches for one to become free.`, "full", TROUBLED];
	}

	async function watch() {
		const mine = ++round;
		for (let again = 1; again; await pause(again)) {
			const answer = await fetchSetup().catch(({ message }) => ({ error: message }));
			if (mine !== round) return;
			if (answer.personas) {
				if (!facts) build(answer, selects);
				facts = answer;
			}
			const [text, state, wait] = judge(answer);
			tell("setup-state", text);
			document.body.dataset.setup = state;
			byId("start").disabled = state !== "ready";
			again = wait;
		}
	}

	return { watch, rest: () => round++, stacks, facts: () => facts };
}

function build({ chain, version, personas, stacks, notice }, selects) {
	document.title = chain[0].toUpperCase() + chain.slice(1);
	tell("setup-title", document.title);
	byId("cast").replaceChildren(
		...personas.map(({ key, name, stack }, index) => {
			const select = (selects[key] = choice(`stack-${key}`, stacks, stack));
			const role = make("p", { className: "role" }, make("strong", {}, name), " ", make("small", {}, key));
			const label = make("label", { htmlFor: select.id }, "Stack", unseen(` of ${name} (${key})`));
			return make("li", { data: { tint: index % 4 } }, role, label, select);
		}),
	);
	const missing = stacks.filter(({ works }) => !works);
	byId("unavailable").hidden = !missing.length;
	byId("unavailable-stacks").replaceChildren(
		...missing.map(({ spec, reason }) => make("li", {}, make("strong", {}, spec), ": ", reason)),
	);
	tell("small-print", [notice, `story ${version}`].filter(Boolean).join(" · "));
}

function choice(id, stacks, wanted) {
	const options = stacks.map(({ spec, title, works, reason }) =>
		make("option", { value: spec, disabled: !works }, [spec, works ? title !== spec.replaceAll("+", ", ") && title : reason].filter(Boolean).join(" · ")),
	);
	const usable = stacks.filter(({ works }) => works).map(({ spec }) => spec);
	const select = make("select", { id }, ...options);
	select.value = usable.includes(wanted) ? wanted : (usable[0] ?? "");
	return select;
}
