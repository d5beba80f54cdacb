/** Shows how loud both sides are, on the level bars and on the orb. */

import { byId } from "./elements.js";

const FALL = 0.88; // levels rise at once and die away slowly, or they would flicker

export function showLevels(sound, signal) {
	const levels = { caller: 0, agent: 0 };
	const draw = () => {
		if (signal.aborted) return;
		for (const who of ["caller", "agent"]) {
			levels[who] = Math.max(sound.level(who), levels[who] * FALL);
			byId(`${who}-level`).value = levels[who];
			byId("orb").style.setProperty(`--${who}`, levels[who].toFixed(3));
		}
		requestAnimationFrame(draw);
	};
	draw();
}
