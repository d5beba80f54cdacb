/** The sound of one call: what is played, how loud both sides are, and silence where there is no microphone. */

export class Sound {
	#contexts = new Set([new AudioContext()]);
	#analysers = {};
	#samples = new Float32Array(1024);

	/** @param {() => void} blocked called when the browser wants another click, which is to call `unblock` */
	constructor(audio, blocked) {
		this.audio = audio;
		this.blocked = blocked;
		[this.context] = this.#contexts;
	}

	/** A track that says nothing, but goes on saying it: the server ends a call whose packets stop. */
	silence() {
		const destination = this.context.createMediaStreamDestination();
		const nothing = new ConstantSourceNode(this.context, { offset: 0 });
		nothing.connect(destination);
		nothing.start();
		return destination.stream.getAudioTracks()[0];
	}

	play(stream) {
		// Chromium lets the sound into an audio graph only while an element plays it
		this.audio.srcObject = stream;
		this.audio.play().catch(({ name }) => name === "NotAllowedError" && this.blocked());
		this.watch("agent", this.context.createMediaStreamSource(stream));
	}

	add(context) {
		this.#contexts.add(context);
		setTimeout(() => context.state === "suspended" && this.blocked(), 500);
	}

	unblock() {
		for (const context of this.#contexts) if (context.state === "suspended") context.resume();
		if (this.audio.srcObject) this.audio.play();
	}

	/** The level of `who`, "caller" or "agent", is that of this node from now on. */
	watch(who, node) {
		this.#analysers[who] = new AnalyserNode(node.context, { fftSize: 1024 });
		node.connect(this.#analysers[who]);
	}

	/** @returns {number} 0 (silence) to 1 (loud) */
	level(who) {
		this.#samples.fill(0);
		this.#analysers[who]?.getFloatTimeDomainData(this.#samples);
		const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
		return Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-9) + 55) / 45)); // -55 to -10 dB
	}

	close() {
		this.audio.srcObject = null;
		this.context.close();
	}
}
