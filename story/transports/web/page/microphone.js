/** The caller's microphone, and what to do when there is none. */

const ADVICE = {
	insecure: [
		"Browsers keep the microphone from this address",
		"They give it to pages that come by https or from this very computer. Open the page as localhost, or start " +
			"story run with --tls-cert and --tls-key.",
	],
	NotAllowedError: [
		"The microphone is blocked",
		"Press the icon beside the address of this page, allow the microphone, and try again. If it is allowed there, " +
			"allow it for the browser in the privacy settings of your system.",
	],
	NotFoundError: ["No microphone was found", "Plug one in or switch it on, then try again."],
	NotReadableError: [
		"The microphone does not start",
		"Another program may be using it. Close that program or plug the microphone in anew, then try again.",
	],
};

export class NoMicrophone extends Error {
	constructor(cause, detail) {
		const [problem, remedy] = ADVICE[cause] ?? ["The microphone does not work", `The browser says: ${detail || cause}.`];
		super(problem);
		this.remedy = remedy;
	}
}

export async function openMicrophone() {
	if (!navigator.mediaDevices) throw new NoMicrophone("insecure");
	const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
	try {
		return (await navigator.mediaDevices.getUserMedia({ audio })).getAudioTracks()[0];
	} catch (problem) {
		throw new NoMicrophone(problem.name, problem.message);
	}
}
