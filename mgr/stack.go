package mgr

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// stacksBelow returns the stacks of the goroutines that are inside a function: one line for each call, the innermost first. It
// returns "" if there is none, and does not see a function that is more than 32 calls away. The stacks have no arguments of
// calls, which may be data of a peer. The process does not stop meanwhile: runtime.Stack stops it for a quarter of a second
// with 10,000 goroutines.
func stacksBelow(function uintptr) string {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+64)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return "" // more goroutines were started meanwhile than records has room for
	}
	var stacks []string
	for _, r := range records[:n] {
		if stack := r.Stack(); slices.ContainsFunc(stack, func(pc uintptr) bool { return entry(pc-1) == function }) {
			stacks = append(stacks, formatStack(stack))
		}
	}
	return strings.Join(stacks, "\n\n")
}

// formatStack returns a stack as text.
func formatStack(stack []uintptr) string {
	var b strings.Builder
	for frames := runtime.CallersFrames(stack); ; {
		frame, more := frames.Next()
		fmt.Fprintf(&b, "%s %s:%d", frame.Function, frame.File, frame.Line)
		if !more {
			return b.String()
		}
		b.WriteByte('\n')
	}
}

// entry returns the address at which the code of the function that has pc begins.
func entry(pc uintptr) uintptr {
	if f := runtime.FuncForPC(pc); f != nil {
		return f.Entry()
	}
	return 0
}

// entryOf is entry for a function value. The function must not be inlined, and must not be a closure.
func entryOf(f any) uintptr { return reflect.ValueOf(f).Pointer() }
