// The bytes of a WAV or RF64 file in; {sampleRate, channels: [Float32Array], length} out.
// Not decodeAudioData: it would resample, and the lanes must stay equal sample for sample.

export function parseWav(buffer) {
  const view = new DataView(buffer);
  const name = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  let at = 12, format, data;
  while (at + 8 <= view.byteLength && !data) {
    const size = view.getUint32(at + 4, true), start = at + 8;
    if (name(at) === "fmt ") {
      format = {
        tag: view.getUint16(start, true), channels: view.getUint16(start + 2, true),
        rate: view.getUint32(start + 4, true), bits: view.getUint16(start + 14, true),
      };
    } else if (name(at) === "data") {
      data = { start, bytes: Math.min(size, view.byteLength - start) };
    }
    at = start + size + (size % 2);
  }
  if (!format || !data) throw new Error("This is not a WAV file.");
  return { sampleRate: format.rate, ...samples(view, format, data) };
}

function samples(view, { tag, channels: count, bits }, data) {
  const bytes = bits / 8, length = Math.floor(data.bytes / (bytes * count));
  const read = reader(view, tag, bits);
  const channels = Array.from({ length: count }, () => new Float32Array(length));
  let at = data.start;
  for (let i = 0; i < length; i++) {
    for (let c = 0; c < count; c++, at += bytes) channels[c][i] = read(at);
  }
  return { channels, length };
}

function reader(view, tag, bits) {
  if (tag === 3) return bits === 64 ? (at) => view.getFloat64(at, true) : (at) => view.getFloat32(at, true);
  if (bits === 8) return (at) => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return (at) => view.getInt16(at, true) / 32768;
  if (bits === 24) return (at) => (view.getUint16(at, true) | (view.getInt8(at + 2) << 16)) / 8388608;
  return (at) => view.getInt32(at, true) / 2147483648;
}
