package mgr

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// stacksBelow returns the stacks of the goroutines that are in a function, the innermost call first, one
// line for each; "" if there are none, or only such that are 32 calls further on. The arguments of the calls
// are not in it, which are somebody's data. The process does not stand still meanwhile, as it does for
// runtime.Stack, which takes a quarter of a second for 10,000 goroutines.
func stacksBelow(function uintptr) string {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+64)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return "" // more have come meanwhile than there is room for
	}
	var stacks []string
	for _, r := range records[:n] {
		if stack := r.Stack(); slices.ContainsFunc(stack, func(pc uintptr) bool { return entry(pc-1) == function }) {
			stacks = append(stacks, lines(stack))
		}
	}
	return strings.Join(stacks, "\n\n")
}

// lines writes a stack down.
func lines(stack []uintptr) string {
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

// entry returns where the code of the function begins that pc is in.
func entry(pc uintptr) uintptr {
	if f := runtime.FuncForPC(pc); f != nil {
		return f.Entry()
	}
	return 0
}

// entryOf does it for a function that is not inlined and not a closure.
func entryOf(f any) uintptr { return reflect.ValueOf(f).Pointer() }
