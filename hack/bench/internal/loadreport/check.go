package loadreport

import (
	"fmt"
	"math"
)

// Check is a figure that must be reached, and whether it was.
type Check struct {
	What string `json:"what"`
	Got  string `json:"got"`
	// Must is empty if nothing has to be reached.
	Must string `json:"must,omitempty"`
	// Aim is what would be good, if that is more; Reached says whether it is.
	Aim     string `json:"aim,omitempty"`
	Reached bool   `json:"aimReached,omitempty"`
	Pass    bool   `json:"pass"`
}

// AtMost holds a figure to a bound, and to a lower one that is aimed at; an aim
// of 0 is none. A figure that is not a number passes nothing.
func AtMost(what string, got, must, aim float64, unit string) Check {
	c := Check{What: what, Got: number(got, unit), Must: "≤ " + number(must, unit), Pass: got <= must}
	if aim > 0 {
		c.Aim, c.Reached = "≤ "+number(aim, unit), got <= aim
	}
	return c
}

// Aim compares a figure with what would be good. It passes whatever it is.
func Aim(what string, got, aim float64, unit string) Check {
	return Check{What: what, Got: number(got, unit), Aim: "≤ " + number(aim, unit), Reached: got <= aim, Pass: true}
}

// AtLeast holds a figure to a lower bound.
func AtLeast(what string, got, must float64, unit string) Check {
	return Check{What: what, Got: number(got, unit), Must: "≥ " + number(must, unit), Pass: got >= must}
}

// Verdict is the check in a word.
func (c Check) Verdict() string {
	switch {
	case !c.Pass:
		return "FAIL"
	case c.Must == "" && c.Reached:
		return "aim reached"
	case c.Must == "":
		return "aim missed"
	case c.Aim == "":
		return "pass"
	case c.Reached:
		return "pass, aim reached"
	}
	return "pass, aim missed"
}

func number(value float64, unit string) string {
	if unit != "" {
		unit = " " + unit
	}
	return Number(value) + unit
}

// Number writes a figure with three digits that mean something, and thousands
// in groups.
func Number(value float64) string {
	size := math.Abs(value)
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return "not measured"
	case value == 0:
		return "0"
	case size < 1:
		return fmt.Sprintf("%.3f", value)
	case size < 10:
		return fmt.Sprintf("%.2f", value)
	case size < 100:
		return fmt.Sprintf("%.1f", value)
	}
	return grouped(fmt.Sprintf("%.0f", value))
}

func grouped(digits string) string {
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}
