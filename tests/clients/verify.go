// Drives the verifier of docs/backends.md: `ASSERTION METHOD URL` a line in, `good SUBJECT` or `refused WHY` a line out.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

func main() {
	verifier := Verifier{KeysURL: os.Args[1], Issuer: os.Args[2], Audience: os.Args[3]}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), "\t")
		claims, err := verifier.Verify(parts[0], parts[1], parts[2])
		if err != nil {
			fmt.Println("refused", err)
		} else {
			fmt.Println("good", claims.Subject)
		}
	}
}
