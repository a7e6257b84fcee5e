package std

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

type version struct {
	Extended string `json:"extended" doc:"The version and the linked modules, one line each."`
}

// Version returns version-get. Its text is the short version, its arguments have the extended one. If extended is empty,
// Version makes it from the build information of the Go toolchain.
func Version(short, extended string) mgr.Command {
	if extended == "" {
		extended = short + "\nlinked with:\n" + strings.Join(linked(), "\n")
	}
	return mgr.Func("version-get", "Return the daemon's version.", mgr.Read,
		func(context.Context, mgr.None) (mgr.Result[version], error) {
			return mgr.Result[version]{Text: short, Arguments: version{extended}}, nil
		}, mgr.AnyArguments())
}

// linked lists the toolchain and the modules of the program.
func linked() []string {
	lines := []string{runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			lines = append(lines, dep.Path+" "+dep.Version)
		}
	}
	return lines
}

// BuildReport returns build-report. Its text is the build information that the Go toolchain
// recorded, without command line and environment.
func BuildReport() mgr.Command {
	report := buildReport()
	return mgr.Func("build-report", "Return how the daemon was built.", mgr.Read,
		func(context.Context, mgr.None) (wire.Reply, error) { return wire.Reply{Text: report}, nil },
		mgr.AnyArguments())
}

func buildReport() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package:\n  OS Family:  %s\n  Processor:  %s\n  Toolchain:  %s\n", runtime.GOOS, runtime.GOARCH, runtime.Version())
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.String()
	}
	fmt.Fprintf(&b, "  Program:    %s\n  Module:     %s %s\n\nBuild settings:\n", info.Path, info.Main.Path, info.Main.Version)
	for _, setting := range info.Settings {
		if strings.HasPrefix(setting.Key, "-") { // flags have paths of the machine that built it
			continue
		}
		fmt.Fprintf(&b, "  %s: %s\n", setting.Key, setting.Value)
	}
	b.WriteString("\nLinked with:\n")
	for _, dep := range info.Deps {
		fmt.Fprintf(&b, "  %s %s\n", dep.Path, dep.Version)
	}
	return b.String()
}
