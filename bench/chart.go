package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A chart has lines over a few places, on a logarithmic scale.
type chart struct {
	title  string
	places []string
	lines  []line
}

// A line is one contestant: its median, least and greatest figure at each place. NaN means that it was not measured there.
type line struct {
	name           string
	mid, low, high []float64
}

// charts returns the plots that the run has figures for, by their file names. Each kind has two: one with rudderpost and its
// peers over UNIX sockets, and one with rudderpost and the floors over each transport. One plot with all would be unreadable.
func (r *report) charts() map[string]*chart {
	all := map[string]*chart{}
	for suffix, drawn := range map[string]func(string) bool{"": besidePeers, "-transports": besideFloors} {
		rates := &chart{title: "commands per second over conns", places: []string{"1", "16", "256"}}
		memory := &chart{title: "MiB of memory over idle conns"}
		latency := &chart{title: "latency at 256 conns, µs", places: []string{"p50", "p99", "p99.9"}}
		for _, part := range idleSteps {
			memory.places = append(memory.places, strconv.Itoa(int(part*float64(r.idle))))
		}
		for _, c := range r.contestants() {
			if !drawn(c.name) {
				continue
			}
			rates.add(c.name, func(i int) sample { return r.found.figures(rates.places[i], c.name, byRate) })
			latency.add(c.name, func(i int) sample {
				return r.found.figures("256", c.name, metric{of: func(x result) float64 { return x.Latency[i] * 1e6 }})
			})
			memory.add(c.name, func(i int) sample {
				return r.found.figures("idle", c.name, metric{of: func(x result) float64 { return x.Memory[i] / (1 << 20) }})
			})
		}
		all["throughput"+suffix+".svg"], all["latency"+suffix+".svg"], all["memory"+suffix+".svg"] = rates, latency, memory
	}
	for name, c := range all {
		if len(c.lines) == 0 {
			delete(all, name)
		}
	}
	return all
}

func besidePeers(name string) bool {
	return strings.Contains(name, "-unix") || !strings.HasPrefix(name, "rudderpost-") && !strings.HasPrefix(name, "floor-")
}

func besideFloors(name string) bool {
	kind, transport, _ := strings.Cut(name, "-")
	transport, loop := strings.CutSuffix(transport, "-loop")
	return kind == "floor" && loop || kind == "rudderpost" && slices.Contains([]string{"unix", "tcp", "tls", "ws", "wss", "quic-stream", "quic-long", "http", "https"}, transport)
}

// add adds a line if it has a figure.
func (c *chart) add(name string, at func(place int) sample) {
	l := line{name: name}
	for i := range c.places {
		s := at(i)
		low, high := s.spread()
		l.mid, l.low, l.high = append(l.mid, s.median()), append(l.low, low), append(l.high, high)
	}
	if slices.ContainsFunc(l.mid, func(f float64) bool { return f > 0 }) {
		c.lines = append(c.lines, l)
	}
}

// The position of a chart in its picture.
const (
	chartLeft, chartTop     = 70, 40
	chartWidth, chartHeight = 520, 420
)

// svg draws the chart. The lines of rudderpost are thick, those of floors dashed. The names are beside the ends of the lines.
func (c *chart) svg() []byte {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range c.lines {
		for i := range l.mid {
			if l.low[i] > 0 {
				low, high = min(low, l.low[i]), max(high, l.high[i])
			}
		}
	}
	ticks := ticksAround(low, high)
	low, high = ticks[0], ticks[len(ticks)-1]
	y := func(f float64) float64 {
		return chartTop + chartHeight*(1-math.Log10(f/low)/math.Log10(high/low))
	}
	x := func(i int) float64 {
		return chartLeft + 20 + float64(i)*(chartWidth-40)/float64(max(1, len(c.places)-1))
	}
	tall := max(chartTop+chartHeight+40, chartTop+16*len(c.lines)+20)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", chartLeft+chartWidth+250, tall)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="22" font-size="15">%s</text>`+"\n", chartLeft, html.EscapeString(c.title))
	for _, tick := range ticks {
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ccc"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", chartLeft, y(tick), chartWidth, chartLeft-6, y(tick)+4, tickName(tick))
	}
	for i, place := range c.places {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), chartTop+chartHeight+18, html.EscapeString(place))
	}
	for i, l := range c.byEnd() {
		style := fmt.Sprintf(`stroke="hsl(%d,70%%,40%%)" fill="none" stroke-width="%s"%s`, i*137%360, l.width(), l.dashes())
		var path strings.Builder
		step := "M"
		for p, f := range l.mid {
			if f > 0 {
				fmt.Fprintf(&path, "%s%.1f %.1f", step, x(p), y(f))
				step = "L"
				fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" %s/>`+"\n", x(p), y(max(l.low[p], low)), y(l.high[p]), style)
			}
		}
		at := chartTop + 16*i + 8
		fmt.Fprintf(&b, `<path d="%s" %s/><path d="M%d %dh20" %s/><text x="%d" y="%d">%s</text>`+"\n", path.String(), style, chartLeft+chartWidth+10, at, style, chartLeft+chartWidth+36, at+4, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// byEnd returns the lines from the highest end to the lowest.
func (c *chart) byEnd() []line {
	end := func(l line) float64 {
		for _, f := range slices.Backward(l.mid) {
			if f > 0 {
				return f
			}
		}
		return 0
	}
	lines := slices.Clone(c.lines)
	slices.SortStableFunc(lines, func(a, b line) int {
		switch {
		case end(a) > end(b):
			return -1
		case end(a) < end(b):
			return 1
		}
		return 0
	})
	return lines
}

func (l line) width() string {
	if len(l.name) > 10 && l.name[:10] == "rudderpost" {
		return "2.5"
	}
	return "1"
}

func (l line) dashes() string {
	if len(l.name) > 5 && l.name[:5] == "floor" {
		return ` stroke-dasharray="5 3"`
	}
	return ""
}

// ticksAround returns 1, 2 or 5 times powers of ten, from the last below low to the first above high.
func ticksAround(low, high float64) (ticks []float64) {
	for power := math.Pow10(int(math.Floor(math.Log10(low)))); ; power *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if f*power <= low {
				ticks = ticks[:0]
			}
			ticks = append(ticks, f*power)
			if f*power > high {
				return ticks
			}
		}
	}
}

func tickName(f float64) string {
	switch {
	case f >= 1e6:
		return fmt.Sprintf("%.3gM", f/1e6)
	case f >= 1e3:
		return fmt.Sprintf("%.3gk", f/1e3)
	}
	return fmt.Sprintf("%.3g", f)
}
