// Command mutants checks that the tests of the core fail when the core is changed. A mutant is a small change of one
// file that alters behaviour: a transition that is left out, a condition that is always true. Each mutant names the
// test that fails on it (that kills it).
//
//	go run ./internal/mutants              # from the root of the repository: all mutants
//	go run ./internal/mutants -list        # their descriptions
//	go run ./internal/mutants -run detach  # those whose description or file matches
//
// The command changes no file: it passes the changed text to go test with -overlay. First it runs the named tests on
// the unchanged tree, where they must pass. It ends with status 1 when a mutant survives, does not compile, or names
// text that its file does not contain exactly once.
//
// A change to the core that moves the text of a mutant changes the mutant too. A new state or transition gets a mutant
// and the test that kills it. A change that no test can notice does not belong here: the code that it removes is either
// redundant, and is then removed, or its comment says what it gains.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// A mutant is one change, and the test that fails on it.
type mutant struct {
	file string // from the root of the repository
	old  string // the text that is replaced; it occurs once in the file
	new  string
	what string // what the changed code does wrong
	kill kill
}

// A kill is a run of tests.
type kill struct {
	pkg   string   // "./mgr"
	test  string   // -run; a regexp without anchors, for example "TestA|TestB"
	flags []string // more flags of go test: "-race", and flags of the test binary, for example "-cpu=1", "-count=20"
}

// all returns the mutants of all packages.
func all() []mutant { return slices.Concat(mgrMutants, transportMutants) }

// testTimeout ends a test on the unchanged tree.
const testTimeout = 2 * time.Minute

// tries is how often a test may pass with a mutant before the mutant has survived. Some mutants are killed by the race
// detector or by repetition, and so by chance on a busy machine.
const tries = 3

// mutantTimeout is when a test that a mutant lets wait for ever is ended. took is the time of that test on the unchanged
// tree: a test that is only slow must not count as one that fails.
func mutantTimeout(took time.Duration) time.Duration { return max(20*time.Second, 5*took) }

func main() {
	list := flag.Bool("list", false, "print the descriptions and run nothing")
	pattern := flag.String("run", "", "only mutants whose file or description matches this regexp")
	parallel := flag.Int("p", runtime.GOMAXPROCS(0), "how many are compiled at a time; as many tests run at a time")
	verbose := flag.Bool("v", false, "print the output of the tests of each mutant")
	flag.Parse()
	only, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants: -run:", err)
		os.Exit(2)
	}
	var chosen []mutant
	for _, m := range all() {
		if only.MatchString(m.file + ": " + m.what) {
			chosen = append(chosen, m)
		}
	}
	if *list {
		for _, m := range chosen {
			fmt.Printf("%s: %s (%s %s)\n", m.file, m.what, m.kill.pkg, m.kill.test)
		}
		return
	}
	if !run(chosen, *parallel, *verbose) {
		os.Exit(1)
	}
}

// A runner compiles mutants and runs their tests. It does both at the same time: a test that a mutant lets wait needs
// no CPU.
type runner struct {
	dir       string        // for binaries and overlays
	compiling chan struct{} // holds a value for each compilation
	testing   chan struct{} // holds a value for each run of tests
}

// run runs the mutants, prints a line for each, and reports whether each was killed.
func run(mutants []mutant, parallel int, verbose bool) (ok bool) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return false
	}
	defer os.RemoveAll(dir)
	parallel = max(1, parallel)
	r := &runner{dir: dir, compiling: make(chan struct{}, parallel), testing: make(chan struct{}, parallel)}
	began := time.Now()
	took, err := r.passes(mutants)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return false
	}
	fmt.Printf("without a mutant the tests pass (%.0f s)\n", time.Since(began).Seconds())
	// The slowest come first, so that none of them is alone at the end.
	slices.SortStableFunc(mutants, func(a, b mutant) int { return cmp.Compare(took[b.kill.String()], took[a.kill.String()]) })
	var (
		mu     sync.Mutex
		killed int
		wait   sync.WaitGroup
	)
	for i, m := range mutants {
		r.compiling <- struct{}{} // kill takes it back
		wait.Go(func() {
			began := time.Now()
			output, err := r.kill(m, filepath.Join(dir, strconv.Itoa(i)), mutantTimeout(took[m.kill.String()]))
			mu.Lock()
			defer mu.Unlock()
			word := "killed  "
			if err != nil {
				word = "SURVIVED"
			} else {
				killed++
			}
			fmt.Printf("%s %s: %s (%s, %.1f s)\n", word, m.file, m.what, m.kill.test, time.Since(began).Seconds())
			if err != nil {
				fmt.Printf("         %v\n", err)
			}
			if verbose {
				fmt.Println(output)
			}
		})
	}
	wait.Wait()
	fmt.Printf("killed %d of %d (%.0f s)\n", killed, len(mutants), time.Since(began).Seconds())
	return killed == len(mutants)
}

// passes runs each test that kills a mutant on the unchanged tree, and returns how long each took. The error has the
// output of a test that fails.
func (r *runner) passes(mutants []mutant) (took map[string]time.Duration, err error) {
	var (
		seen     = map[string]bool{}
		binaries = map[string]string{} // by their buildArgs
		mu       sync.Mutex            // protects took and failed
		failed   error
		wait     sync.WaitGroup
	)
	took = map[string]time.Duration{}
	for _, m := range mutants {
		k := m.kill
		if seen[k.String()] {
			continue
		}
		seen[k.String()] = true
		build := strings.Join(k.buildArgs(), " ")
		if binaries[build] == "" {
			binaries[build] = filepath.Join(r.dir, fmt.Sprintf("unchanged%d.test", len(binaries)))
			if output, err := k.compile(binaries[build], ""); err != nil {
				return nil, fmt.Errorf("without a mutant the tests must compile: %s: %w\n%s", k.pkg, err, output)
			}
		}
		r.testing <- struct{}{}
		wait.Go(func() {
			defer func() { <-r.testing }()
			began := time.Now()
			output, err := k.run(binaries[build], testTimeout)
			d := time.Since(began)
			if err != nil {
				err = fmt.Errorf("without a mutant the tests must pass: %v: %w\n%s", k, err, output)
			}
			mu.Lock()
			defer mu.Unlock()
			took[k.String()], failed = d, cmp.Or(failed, err)
		})
	}
	wait.Wait()
	return took, failed
}

// kill compiles the mutant and runs its test; base is a path for its files. The caller has put a value into compiling.
// The error says why the mutant is not killed.
func (r *runner) kill(m mutant, base string, timeout time.Duration) (output string, err error) {
	binary := base + ".test"
	defer os.Remove(binary)
	output, err = m.compile(base)
	<-r.compiling
	if err != nil {
		return output, err
	}
	r.testing <- struct{}{}
	defer func() { <-r.testing }()
	for range tries {
		if output, err = m.kill.run(binary, timeout); err != nil {
			break
		}
	}
	if err == nil {
		return output, fmt.Errorf("%v passes", m.kill)
	}
	if errors.Is(err, errNoTest) {
		return output, err
	}
	return output, nil
}

// apply returns the file of the mutant, changed.
func (m mutant) apply() ([]byte, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		return nil, fmt.Errorf("%s contains the old text %d times, not once: %q", m.file, n, m.old)
	}
	return []byte(strings.Replace(string(source), m.old, m.new, 1)), nil
}

// compile compiles the tests with the mutant into the file base.test.
func (m mutant) compile(base string) (output string, err error) {
	source, err := m.apply()
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(base+".go", source, 0o600); err != nil {
		return "", err
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: base + ".go"}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(base+".json", overlay, 0o600); err != nil {
		return "", err
	}
	if output, err = m.kill.compile(base+".test", base+".json"); err != nil {
		return output, fmt.Errorf("it does not compile: %w\n%s", err, output)
	}
	return output, nil
}

// pattern is the argument of -run.
func (k kill) pattern() string { return "^(" + k.test + ")$" }

// String is the command that a user types to run the tests.
func (k kill) String() string {
	return strings.Join(slices.Concat([]string{"go", "test"}, k.flags, []string{"-run='" + k.pattern() + "'", k.pkg}), " ")
}

// buildArgs returns the package and the flags on which the binary depends.
func (k kill) buildArgs() []string {
	if slices.Contains(k.flags, "-race") {
		return []string{"-race", k.pkg}
	}
	return []string{k.pkg}
}

// compile compiles the tests of the package. overlay is a file for -overlay, or "".
func (k kill) compile(binary, overlay string) (output string, err error) {
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o=" + binary} // without symbols it links faster
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	out, err := exec.Command("go", append(args, k.buildArgs()...)...).CombinedOutput()
	return string(out), err
}

var errNoTest = errors.New("no test matches -run")

// run runs the tests in a binary that compile has made. The error is that of the binary, or errNoTest.
func (k kill) run(binary string, timeout time.Duration) (output string, err error) {
	args := []string{"-test.count=1", "-test.failfast", "-test.paniconexit0", "-test.timeout=" + timeout.String(), "-test.run=" + k.pattern()}
	for _, flag := range k.flags {
		if flag != "-race" {
			args = append(args, "-test."+strings.TrimPrefix(flag, "-"))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout+20*time.Second) // for a binary that does not end itself
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = k.pkg
	cmd.WaitDelay = time.Second // a child of the test may hold the output open
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "no tests to run") {
		return string(out), errNoTest
	}
	return string(out), err
}
