// Package denial is what the webhook answers when a pod must not be admitted.
package denial

import (
	"fmt"
	"strings"
)

// Reason says why in one word. It is a metric label, so the set is closed.
type Reason string

// The reasons for a denial.
const (
	// NoPolicy: no policy of the namespace selects the pod.
	NoPolicy Reason = "NoPolicy"
	// NoStore: the chosen policy has no session store.
	NoStore Reason = "NoStore"
	// HostNetwork: the pod shares the node's network.
	HostNetwork Reason = "HostNetwork"
	// Windows: the pod asks for a Windows node.
	Windows Reason = "Windows"
	// NameTaken: a container or volume uses a name that is the sidecar's.
	NameTaken Reason = "NameTaken"
	// PortTaken: a container uses a port that is the sidecar's.
	PortTaken Reason = "PortTaken"
	// PortNotFound: no container has the port the policy names.
	PortNotFound Reason = "PortNotFound"
	// PortAmbiguous: the port the policy names stands for several numbers.
	PortAmbiguous Reason = "PortAmbiguous"
)

// Problem is one thing that keeps a pod from being admitted. Message names
// what is wrong and what to do about it.
type Problem struct {
	Reason  Reason
	Message string
}

// Found is a problem with a formatted message.
func Found(reason Reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Denial is the refusal of a pod, with everything that is wrong with it, so
// that nobody has to find the problems one by one.
type Denial struct {
	// Policy is the name of the chosen policy. Empty, if none was.
	Policy string
	// Problems holds at least one problem, the gravest first.
	Problems []Problem
}

// Error is the text the user sees.
func (d *Denial) Error() string {
	messages := make([]string, len(d.Problems))
	for i, problem := range d.Problems {
		messages[i] = problem.Message
	}
	text := strings.Join(messages, "; ")
	if d.Policy == "" {
		return text
	}
	return fmt.Sprintf("BFFPolicy %q cannot protect this pod: %s", d.Policy, text)
}

// Reason is the reason of the gravest problem.
func (d *Denial) Reason() Reason { return d.Problems[0].Reason }
