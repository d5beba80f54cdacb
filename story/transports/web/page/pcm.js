/** Records and plays s16le mono at 24000 Hz, through worklet.js. */

export async function openPcm(sound, send) {
	// without https there are no worklets: no sound then, but captions and typing
	if (!sound.context.audioWorklet) return { play() {}, clear() {}, record() {}, close() {} };
	// the browser resamples what is played, but not every browser what comes from a microphone
	const graph = new AudioContext({ sampleRate: 24000 });
	for (const { audioWorklet } of [graph, sound.context]) await audioWorklet.addModule(new URL("worklet.js", import.meta.url));
	const player = new AudioWorkletNode(graph, "player", { numberOfInputs: 0, outputChannelCount: [1] });
	player.connect(graph.destination);
	sound.watch("agent", player);
	sound.add(graph);
	let stop = () => {};

	function record(track) {
		stop();
		const source = sound.context.createMediaStreamSource(new MediaStream([track]));
		const capture = new AudioWorkletNode(sound.context, "capture", { channelCount: 1, channelCountMode: "explicit" });
		capture.port.onmessage = ({ data }) => send(data);
		source.connect(capture).connect(sound.context.destination); // it gives out nothing, but unconnected it may rest
		stop = () => {
			capture.port.onmessage = null;
			source.disconnect();
		};
	}

	return {
		record,
		play: (frame) => player.port.postMessage(frame, [frame]),
		clear: () => player.port.postMessage("clear"),
		close() {
			stop();
			graph.close();
		},
	};
}
