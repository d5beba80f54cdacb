/** Shows how loud both sides are, on the level bars and on the orb. */

import { byId } from "./elements.js";

const FALL = 120; // ms: levels rise at once and die away slowly, or they would flicker

export function showLevels(sound, signal) {
	const levels = { caller: 0, agent: 0 };
	let before = 0;
	const draw = (now) => {
		if (signal.aborted) return;
		const left = Math.exp((before - now) / FALL);
		before = now;
		for (const who of ["caller", "agent"]) {
			levels[who] = Math.max(sound.level(who), levels[who] * left);
			const level = (byId(`${who}-level`).ariaValueNow = levels[who].toFixed(2));
			byId("call").style.setProperty(`--${who}`, level);
		}
		requestAnimationFrame(draw);
	};
	requestAnimationFrame(draw);
}
