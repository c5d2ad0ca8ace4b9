package demo

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
)

const (
	sampleRate = 8000 // a telephone line's
	silence    = 128  // 8-bit PCM in a WAV file is unsigned
	beep       = sampleRate / 4
	pause      = sampleRate / 25
	noise      = 8
	longest    = 600.0 // seconds
)

// sine is one period with the amplitude of a beep. Samples are made with integers from here on, because
// floating-point sums may differ in their last bit between processors and the bytes of a seed must not.
var sine = func() (table [256]int) {
	for i := range table {
		table[i] = int(math.Round(90 * math.Sin(2*math.Pi*float64(i)/256)))
	}
	return table
}()

// Recording makes a sound file as the alarm centre would keep of a call, without anybody's voice: two tones in turn
// over a line's noise, as WAV (8 kHz, 8-bit PCM, mono). A seed and length always give the same bytes, another seed
// others. The length is held between one sample and ten minutes.
func Recording(seed uint64, seconds float64) []byte {
	n := 1
	if samples := math.Round(min(seconds, longest) * sampleRate); samples > 1 { // false for NaN
		n = int(samples)
	}
	random := rand.New(rand.NewPCG(seed, sampleRate)) // #nosec G404 -- repeatable noise, not a secret
	tones := [2]uint32{phaseStep(600 + random.IntN(200)), phaseStep(900 + random.IntN(400))}
	data := make([]byte, n)
	var phase uint32
	for i := range data {
		sample := silence + random.IntN(2*noise+1) - noise
		if i%beep < beep-pause {
			phase += tones[i/beep%2]
			sample += sine[phase>>24]
		}
		data[i] = byte(sample)
	}
	return wav(data)
}

// phaseStep is how far a tone moves on in a sample, a full turn being 2^32.
func phaseStep(hertz int) uint32 {
	return uint32(uint64(hertz) << 32 / sampleRate)
}

// wav puts the chunks of a RIFF file around samples: what they are, who made them, and the samples.
func wav(samples []byte) []byte {
	format := binary.LittleEndian.AppendUint16(nil, 1) // PCM
	format = binary.LittleEndian.AppendUint16(format, 1)
	format = binary.LittleEndian.AppendUint32(format, sampleRate)
	format = binary.LittleEndian.AppendUint32(format, sampleRate) // bytes a second
	format = binary.LittleEndian.AppendUint16(format, 1)          // bytes a sample
	format = binary.LittleEndian.AppendUint16(format, 8)
	var chunks bytes.Buffer
	chunks.WriteString("WAVE")
	chunk(&chunks, "fmt ", format)
	var info bytes.Buffer
	info.WriteString("INFO")
	chunk(&info, "ICMT", []byte("Syntetisk opptak uten tale\x00"))
	chunk(&info, "ISFT", []byte("Frist\x00"))
	chunk(&chunks, "LIST", info.Bytes())
	chunk(&chunks, "data", samples)
	var file bytes.Buffer
	chunk(&file, "RIFF", chunks.Bytes())
	return file.Bytes()
}

// chunk writes a RIFF chunk, which a byte fills up to an even length that does not count it.
func chunk(w *bytes.Buffer, id string, body []byte) {
	w.WriteString(id)
	w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(body)))) // #nosec G115 -- ten minutes at most
	w.Write(body)
	if len(body)%2 == 1 {
		w.WriteByte(0)
	}
}
