/** A microphone that another program has. */
navigator.mediaDevices.getUserMedia = async () => {
	throw new DOMException("Could not start audio source", "NotReadableError");
};
