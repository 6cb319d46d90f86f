{{- define "sekisho.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "sekisho.selector" -}}
app.kubernetes.io/name: sekisho
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sekisho.labels" -}}
{{ include "sekisho.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "sekisho.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The configuration with what the pod's shutdown must agree with. */ -}}
{{- define "sekisho.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $timeouts := deepCopy (get $config "timeouts" | default dict) -}}
{{- if hasKey $timeouts "drain" -}}
{{- fail "config.timeouts.drain: shutdown.drainSeconds says it, so that the pod's grace period agrees" -}}
{{- end -}}
{{- if not (hasSuffix (printf ":%d" (int .Values.ports.ops)) .Values.config.ops.bind) -}}
{{- fail (printf "config.ops.bind: its port isn't ports.ops, %d" (int .Values.ports.ops)) -}}
{{- end -}}
{{- if not (hasSuffix (printf ":%d" (int .Values.ports.https)) (index .Values.config.listeners 0).bind) -}}
{{- fail (printf "config.listeners[0].bind: its port isn't ports.https, %d" (int .Values.ports.https)) -}}
{{- end -}}
{{- $_ := set $timeouts "drain" (printf "%ds" (int .Values.shutdown.drainSeconds)) -}}
{{- $_ := set $config "timeouts" $timeouts -}}
{{- toYaml $config -}}
{{- end }}
