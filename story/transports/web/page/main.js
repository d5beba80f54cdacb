/** The page: a start, a call, and what is left of it. */

import { showAfter } from "./after.js";
import { makeCall } from "./call.js";
import { byId, tell } from "./elements.js";
import { NoMicrophone } from "./microphone.js";
import { alert, notice } from "./notices.js";
import { makeSetup } from "./setup.js";

const VIEWS = { setup: "setup", connecting: "call", call: "call", ended: "after" };

const setup = makeSetup(() => start(false));
let call = null;
let awake = null;

/** @param {keyof VIEWS} phase @param {string} heading that screen readers go on from */
function show(phase, heading) {
	alert("");
	notice("");
	document.body.dataset.phase = phase;
	for (const view of new Set(Object.values(VIEWS))) byId(view).hidden = view !== VIEWS[phase];
	byId(heading).focus();
}

async function start(silent) {
	setup.rest();
	show("connecting", "persona");
	call = makeCall(setup.facts(), setup.stacks(), ended);
	keepAwake();
	try {
		await call.open(silent);
		if (call) document.body.dataset.phase = "call";
	} catch (problem) {
		call = null;
		keepAwake();
		toSetup();
		if (problem instanceof NoMicrophone) advise(problem);
		else if (problem.name !== "AbortError") alert(problem.message);
	}
}

function ended(journal) {
	call = null;
	keepAwake();
	showAfter(journal);
	show("ended", "after-title");
}

function toSetup() {
	advise(null);
	show("setup", "setup-title");
	setup.watch();
}

function advise(problem) {
	byId("microphone-advice").hidden = !problem;
	byId("start").hidden = byId("setup-state").hidden = Boolean(problem);
	if (!problem) return;
	tell("microphone-problem", problem.message);
	tell("microphone-remedy", problem.remedy);
	byId("microphone-problem").focus();
	byId("microphone-advice").scrollIntoView({ block: "center" });
}

/** A phone on the table must not fall asleep in a story; the lock ends when the tab is hidden. */
async function keepAwake() {
	if (!call) awake?.release();
	else if (document.visibilityState === "visible") awake = await navigator.wakeLock?.request("screen").catch(() => null);
}

byId("microphone-again").addEventListener("click", () => start(false));
byId("without-microphone").addEventListener("click", () => start(true));
byId("new-call").addEventListener("click", toSetup);
document.addEventListener("visibilitychange", keepAwake);
addEventListener("pagehide", () => call?.leave());

setup.watch();
