package mgr

import (
	"bytes"
	"runtime"
	"strings"
)

// goroutine returns what a dump of all stacks calls the calling goroutine: "goroutine 7 ".
func goroutine() string {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	if i := bytes.IndexByte(buf, '['); i > 0 {
		return string(buf[:i])
	}
	return "unknown"
}

// mostStacks is the longest dump of all stacks that is made, in bytes.
const mostStacks = 32 << 20

// stackOf returns the stack of a goroutine, without the arguments of its functions, which are somebody's
// data; or "" where it is not found. The whole process stands still meanwhile: some microseconds for each
// of its goroutines.
func stackOf(goroutine string) string {
	buf := make([]byte, min(64<<10+runtime.NumGoroutine()*2<<10, mostStacks))
	buf = buf[:runtime.Stack(buf, true)]
	for stack := range bytes.SplitSeq(buf, []byte("\n\n")) {
		if bytes.HasPrefix(stack, []byte(goroutine)) {
			return withoutArguments(string(stack))
		}
	}
	return ""
}

// withoutArguments cuts what is in the last brackets of the lines that name functions. Those of their
// places begin with a tab.
func withoutArguments(stack string) string {
	var b strings.Builder
	for i, line := range strings.Split(stack, "\n") {
		if i > 0 && !strings.HasPrefix(line, "\t") {
			if last := strings.LastIndexByte(line, '('); last > 0 && strings.HasSuffix(line, ")") {
				line = line[:last] + "()"
			}
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String()
}
