package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// startDir is the directory in which the process was started. go test starts a test in the directory of its package.
var startDir, _ = os.Getwd()

// ModuleRoot returns the root directory of this module: the first directory with a go.mod, from the directory of the test
// upwards.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func moduleRoot() (string, error) {
	for dir := startDir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod in " + startDir + " or above it")
		}
	}
}

// builds has the programs that this process has built. mu protects it.
var builds struct {
	mu   sync.Mutex
	dir  string // empty until the first build
	done map[string]error
}

// Program returns the path of one of our programs, and builds it at the first call: "rudderpostd", "steer", or the name
// of a folder in examples. Every user may execute it. It has the race detector if the test has it. A package that calls
// Program calls RemovePrograms at the end of its TestMain.
func Program(t testing.TB, name string) string {
	t.Helper()
	return program(t, name, RaceEnabled)
}

// ProgramWithoutRace is Program, but without the race detector in every case. It is for programs that a test starts many
// times: the detector makes each start much slower.
func ProgramWithoutRace(t testing.TB, name string) string {
	t.Helper()
	return program(t, name, false)
}

func program(t testing.TB, name string, race bool) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "rudderpost")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.done = dir, map[string]error{}
	}
	dir := filepath.Join(builds.dir, map[bool]string{true: "race", false: "plain"}[race])
	path := filepath.Join(dir, name)
	if _, done := builds.done[path]; !done {
		builds.done[path] = build(builds.dir, dir, name, race)
	}
	if err := builds.done[path]; err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds a program into dir, which is below parent.
func build(parent, dir, name string, race bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{parent, dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	source, known := map[string]string{"rudderpostd": "./cmd/daemon", "steer": "./cmd/steer"}[name]
	if !known {
		source = "./examples/" + name
	}
	args := []string{"build", "-o", filepath.Join(dir, name)}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, source)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", source, err, out)
	}
	return nil
}

// RemovePrograms removes the programs that Program has built.
func RemovePrograms() {
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir)
		builds.dir = ""
	}
}
