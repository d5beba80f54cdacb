/** Somebody who allows no microphone. */
navigator.mediaDevices.getUserMedia = async () => {
	throw new DOMException("Permission denied", "NotAllowedError");
};
