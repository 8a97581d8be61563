package moderation

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// BenchmarkFilter measures what the largest rules cost: 10,000 words, in memory, and in time for a message. Words and texts
// are made of the same syllables, so that many words begin as the text goes on.
func BenchmarkFilter(b *testing.B) {
	for _, length := range []int{8, 100} {
		b.Run(fmt.Sprintf("words of %d bytes", length), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, uint64(length)))
			words := make([]string, maxWords)
			for i := range words {
				words[i] = babble(random, length)
			}
			definition, err := json.Marshal(map[string]any{"words": words, "action": ActionMask})
			if err != nil {
				b.Fatal(err)
			}
			before := heap()
			rule, err := ParseFilter(definition)
			if err != nil {
				b.Fatal(err)
			}
			memory := heap() - before
			for _, size := range []int{100, 5000} {
				text := babble(random, size)
				b.Run(fmt.Sprintf("text of %d bytes", size), func(b *testing.B) {
					b.SetBytes(int64(size))
					for b.Loop() {
						rule.find(text)
					}
					b.ReportMetric(float64(memory)/float64(maxWords*length), "B/byte-of-word")
				})
			}
			runtime.KeepAlive(definition)
		})
	}
}

// babble is a text of syllables.
func babble(random *rand.Rand, length int) string {
	var text strings.Builder
	for text.Len() < length {
		text.WriteByte("bdfgklmnprst"[random.IntN(12)])
		text.WriteByte("aeiou"[random.IntN(5)])
	}
	return text.String()[:length]
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
