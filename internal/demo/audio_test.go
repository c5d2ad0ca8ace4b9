package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestRecordingIsAWavFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		seconds := rapid.Float64Range(0.5, 3).Draw(t, "seconds")
		file := Recording(seed, seconds)
		chunks := parse(t, file)
		if len(chunks) != 3 {
			t.Fatalf("%d chunks, want fmt, LIST and data", len(chunks))
		}
		le := binary.LittleEndian
		format := chunks["fmt "]
		if len(format) != 16 {
			t.Fatalf("fmt has %d bytes", len(format))
		}
		for _, c := range []struct {
			what      string
			got, want uint32
		}{
			{"format", uint32(le.Uint16(format)), 1},
			{"channels", uint32(le.Uint16(format[2:])), 1},
			{"samples a second", le.Uint32(format[4:]), 8000},
			{"bytes a second", le.Uint32(format[8:]), 8000},
			{"bytes a sample", uint32(le.Uint16(format[12:])), 1},
			{"bits a sample", uint32(le.Uint16(format[14:])), 8},
			{"samples", uint32(len(chunks["data"])), uint32(math.Round(seconds * 8000))},
		} {
			if c.got != c.want {
				t.Fatalf("%s: %d, want %d", c.what, c.got, c.want)
			}
		}
		if !bytes.HasPrefix(chunks["LIST"], []byte("INFOICMT")) {
			t.Fatalf("LIST is %q", chunks["LIST"])
		}
		low, high := byte(255), byte(0)
		for _, s := range chunks["data"] {
			low, high = min(low, s), max(high, s)
		}
		if low > 60 || high < 196 || low == 0 || high == 255 {
			t.Fatalf("samples from %d to %d: too quiet or clipped", low, high)
		}
	})
}

func TestRecordingIsDeterministic(t *testing.T) {
	seen := map[[32]byte]uint64{}
	for seed := range uint64(500) {
		sum := sha256.Sum256(Recording(seed, 1))
		if sum != sha256.Sum256(Recording(seed, 1)) {
			t.Fatalf("seed %d gives two files", seed)
		}
		if other, ok := seen[sum]; ok {
			t.Fatalf("seeds %d and %d give one file", other, seed)
		}
		seen[sum] = seed
	}
	// The same bytes on every machine and after every upgrade of Go.
	const want = "2b53d609c952087de8ec3f71a15331631f0ecba528038c450dd308b5b3e9a8ed"
	if sum := sha256.Sum256(Recording(42, 1.5)); hex.EncodeToString(sum[:]) != want {
		t.Errorf("seed 42 gives %x", sum)
	}
}

func TestRecordingOfOddLengths(t *testing.T) {
	for seconds, want := range map[float64]int{
		0: 1, -1: 1, math.Inf(-1): 1,
		1.0 / 8000: 1, 3.0 / 8000: 3,
		700: 600 * 8000, math.Inf(1): 600 * 8000,
	} {
		if got := len(parse(t, Recording(1, seconds))["data"]); got != want {
			t.Errorf("%v seconds: %d samples, want %d", seconds, got, want)
		}
	}
	if got := len(parse(t, Recording(1, math.NaN()))["data"]); got != 1 {
		t.Errorf("NaN seconds: %d samples", got)
	}
}

// parse walks the chunks of a RIFF file and holds their sizes against the file's.
func parse(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, file []byte,
) map[string][]byte {
	t.Helper()
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE" {
		t.Fatalf("no WAV header")
	}
	if size := binary.LittleEndian.Uint32(file[4:]); int(size) != len(file)-8 {
		t.Fatalf("the header says %d bytes, %d follow", size, len(file)-8)
	}
	chunks := map[string][]byte{}
	for rest := file[12:]; len(rest) > 0; {
		if len(rest) < 8 {
			t.Fatalf("%d bytes behind the last chunk", len(rest))
		}
		id, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		if size+size%2 > len(rest)-8 {
			t.Fatalf("chunk %q of %d bytes ends behind the file", id, size)
		}
		chunks[id] = rest[8 : 8+size]
		rest = rest[8+size+size%2:]
	}
	return chunks
}
