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
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// A kill is a run of go test.
type kill struct {
	pkg   string   // "./mgr"
	test  string   // -run; a regexp without anchors, for example "TestA|TestB"
	flags []string // more flags, for example "-race", "-cpu=1", "-count=20"
}

// all returns the mutants of all packages.
func all() []mutant { return slices.Concat(mgrMutants, transportMutants) }

// testTimeout ends a test that a mutant lets wait for ever.
const testTimeout = time.Minute

func main() {
	list := flag.Bool("list", false, "print the descriptions and run nothing")
	pattern := flag.String("run", "", "only mutants whose file or description matches this regexp")
	parallel := flag.Int("p", 2, "how many run at a time")
	verbose := flag.Bool("v", false, "print the output of go test for each mutant")
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

// run runs the mutants, prints a line for each, and reports whether each was killed.
func run(mutants []mutant, parallel int, verbose bool) (ok bool) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return false
	}
	defer os.RemoveAll(dir)
	if err := passes(mutants); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return false
	}
	var (
		mu     sync.Mutex
		killed int
		wait   sync.WaitGroup
		places = make(chan struct{}, max(1, parallel))
	)
	for i, m := range mutants {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			began := time.Now()
			output, err := m.run(filepath.Join(dir, strconv.Itoa(i)))
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
	fmt.Printf("killed %d of %d\n", killed, len(mutants))
	return killed == len(mutants)
}

// passes runs each test that kills a mutant on the unchanged tree. The error has the output of the first that fails.
func passes(mutants []mutant) error {
	var runs []kill // one for each package and flags
	for _, m := range mutants {
		i := slices.IndexFunc(runs, func(k kill) bool { return k.pkg == m.kill.pkg && slices.Equal(k.flags, m.kill.flags) })
		if i < 0 {
			runs = append(runs, m.kill)
		} else if !slices.Contains(strings.Split(runs[i].test, "|"), m.kill.test) {
			runs[i].test += "|" + m.kill.test
		}
	}
	for _, k := range runs {
		if output, err := k.run("", 5*testTimeout); err != nil {
			return fmt.Errorf("without a mutant the tests must pass: go test -run '%s' %s: %w\n%s", k.pattern(), k.pkg, err, output)
		}
	}
	return nil
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

// run runs the test of the mutant; base is a path for its files. The error says why the mutant is not killed.
func (m mutant) run(base string) (output string, err error) {
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
	output, err = m.kill.run(base+".json", testTimeout)
	switch {
	case err == nil:
		return output, fmt.Errorf("go test -run '%s' %s passes", m.kill.pattern(), m.kill.pkg)
	case strings.Contains(output, "[build failed]"), strings.Contains(output, "[setup failed]"):
		return output, fmt.Errorf("it does not compile:\n%s", output)
	}
	return output, nil
}

// pattern is the argument of -run.
func (k kill) pattern() string { return "^(" + k.test + ")$" }

// run runs go test. The output is that of the tests; the error is that of the command, or says that no test matches.
func (k kill) run(overlay string, timeout time.Duration) (output string, err error) {
	args := []string{"test", "-vet=off", "-count=1", "-failfast", "-timeout=" + timeout.String(), "-run=" + k.pattern()}
	args = append(args, k.flags...)
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout+5*time.Minute) // with the time to compile
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", append(args, k.pkg)...).CombinedOutput()
	if strings.Contains(string(out), "no tests to run") {
		return "", fmt.Errorf("no test matches -run '%s'", k.pattern())
	}
	return string(out), err
}
