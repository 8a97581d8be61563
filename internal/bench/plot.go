package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Second is what happened in about a second of a run, for a picture.
type Second struct {
	At                       time.Duration // since the run began, at its end
	AckedPerS, DeliveredPerS float64
	AckP50, AckP99           float64 // ms; 0: nothing was acknowledged
	DeliverP50, DeliverP99   float64 // ms
	WarmUp                   bool
}

func secondOf(w window, at time.Duration, warmUp bool) Second {
	ack, deliver := quantiles(w.ack), quantiles(w.deliver)
	return Second{At: at, AckedPerS: rate(w.ack.total(), w.took), DeliveredPerS: rate(w.deliver.total(), w.took),
		AckP50: ack.P50, AckP99: ack.P99, DeliverP50: deliver.P50, DeliverP99: deliver.P99, WarmUp: warmUp}
}

// The picture's measures, in pixels.
const (
	plotWidth, plotHeight = 860, 250 // of a chart
	plotLeft, plotTop     = 80, 40
)

type line struct {
	name, colour string
	value        func(Second) float64
}

// Plot writes a picture (SVG) of a run: throughput over time, and below it latencies. The error is one of writing.
func Plot(w io.Writer, r *Result) error {
	var b strings.Builder
	const width, height = plotLeft + plotWidth + 40, 2*(plotTop+plotHeight) + 70
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	chart(&b, plotTop, r.Workload+": messages a second", r.Series, []line{
		{"acknowledged", "#1f6fb4", func(s Second) float64 { return s.AckedPerS }},
		{"delivered", "#b4531f", func(s Second) float64 { return s.DeliveredPerS }},
	})
	chart(&b, 2*plotTop+plotHeight+20, "milliseconds", r.Series, []line{
		{"acknowledge p50", "#1f6fb4", func(s Second) float64 { return s.AckP50 }},
		{"acknowledge p99", "#8fbbe0", func(s Second) float64 { return s.AckP99 }},
		{"deliver p50", "#b4531f", func(s Second) float64 { return s.DeliverP50 }},
		{"deliver p99", "#e0b08f", func(s Second) float64 { return s.DeliverP99 }},
	})
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func chart(b *strings.Builder, top int, title string, series []Second, lines []line) {
	end, most := time.Second, 0.0
	for _, s := range series {
		end = max(end, s.At)
		for _, l := range lines {
			most = max(most, l.value(s))
		}
	}
	most = roundUp(most)
	x := func(at time.Duration) float64 { return plotLeft + plotWidth*at.Seconds()/end.Seconds() }
	y := func(v float64) float64 { return float64(top) + plotHeight*(1-v/most) }
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="14">%s</text>`+"\n", plotLeft, top-12, title)
	for i := range 6 { // grid
		v := most * float64(i) / 5
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, y(v), plotWidth, plotLeft-8, y(v)+4, figure(v))
	}
	for i := range 6 {
		at := end * time.Duration(i) / 5
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f s</text>`+"\n", x(at), top+plotHeight+16, at.Seconds())
	}
	for i, l := range lines {
		var path strings.Builder
		for j, s := range series {
			command := 'L'
			if j == 0 {
				command = 'M'
			}
			fmt.Fprintf(&path, "%c%.1f %.1f", command, x(s.At), y(l.value(s)))
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), l.colour)
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s" text-anchor="end">%s</text>`+"\n", plotLeft+plotWidth-150*(len(lines)-1-i), top-12, l.colour, l.name)
	}
	for _, s := range series { // what is not measured is grey
		if s.WarmUp {
			fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#000" opacity="0.04"/>`+"\n",
				x(s.At-time.Second), top, x(time.Second)-x(0), plotHeight)
		}
	}
}

// roundUp returns 1, 2 or 5 times a power of ten that is not below v.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5, 10} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}
