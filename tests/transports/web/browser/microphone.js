/** A microphone that a test speaks into, in place of the browser's: `testMicrophone.speak(wav in base64)`. */
(() => {
	let context = null;
	let line = null;
	let speaking = Promise.resolve();

	navigator.mediaDevices.getUserMedia = async () => {
		// made here, after the click on Start: before it the browser keeps an audio graph still
		context ??= new AudioContext();
		line ??= context.createMediaStreamDestination();
		await context.resume();
		return line.stream.clone();
	};

	async function play(wav) {
		const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
		const source = context.createBufferSource();
		source.buffer = await context.decodeAudioData(bytes.buffer);
		source.connect(line);
		await new Promise((resolve) => {
			source.onended = resolve;
			source.start();
		});
	}

	globalThis.testMicrophone = {
		/** One after another; resolves when the last word is out. */
		speak: (...wavs) => (speaking = wavs.reduce((before, wav) => before.then(() => play(wav)), speaking)),
	};
})();
