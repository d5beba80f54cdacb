/** Sound in and out of the WebSocket, on the audio thread: s16le mono at 24000 Hz in frames of 20 ms. */

const RATE = 24000;
const FRAME = RATE / 50;
const AHEAD = RATE * 0.06; // held back before playing, so that late frames leave no gaps
const FADE = 120; // over which cleared sound dies away, so that it does not click
const SILENCE = new Float32Array(128);

/** Posts what goes in, in frames; averages samples, as the graph runs at the rate of the device. */
class Capture extends AudioWorkletProcessor {
	#frame = [];
	#sum = 0;
	#weight = 0;

	process([[input = SILENCE]]) {
		for (const sample of input) {
			for (let left = RATE / sampleRate; left > 1e-9; ) {
				const taken = Math.min(left, 1 - this.#weight);
				this.#sum += sample * taken;
				this.#weight += taken;
				left -= taken;
				if (this.#weight > 1 - 1e-9) this.#emit();
			}
		}
		return true;
	}

	#emit() {
		this.#frame.push(Math.max(-1, Math.min(1, this.#sum)) * 32767);
		this.#sum = this.#weight = 0;
		if (this.#frame.length === FRAME) this.port.postMessage(Int16Array.from(this.#frame.splice(0)).buffer);
	}
}

/** Plays the frames it is posted; "clear" throws away what has not been played. */
class Player extends AudioWorkletProcessor {
	#samples = [];
	#waited = 0; // since the first of them came

	constructor() {
		super();
		this.port.onmessage = ({ data }) => (data === "clear" ? this.#clear() : this.#samples.push(...new Int16Array(data)));
	}

	process(_inputs, [[output]]) {
		this.#waited = this.#samples.length && this.#waited + output.length;
		if (this.#waited > AHEAD) output.set(this.#samples.splice(0, output.length).map((sample) => sample / 32768));
		return true;
	}

	#clear() {
		const rest = this.#waited > AHEAD ? this.#samples.slice(0, FADE) : [];
		this.#samples = rest.map((sample, index) => sample * (1 - index / FADE));
	}
}

registerProcessor("capture", Capture);
registerProcessor("player", Player);
