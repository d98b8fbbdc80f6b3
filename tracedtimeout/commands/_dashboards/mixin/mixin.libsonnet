// Written by `python -m dashboards`. Dashboards and the table of objectives are read from the folders beside this one;
// the rules stand here as JSON, for jsonnet's parseYaml does not take all of YAML.
{
  grafanaDashboards+:: {
    'tracedtimeout-overview.json': import '../grafana/overview.json',
    'tracedtimeout-one-timeout.json': import '../grafana/one-timeout.json',
    'tracedtimeout-across-services.json': import '../grafana/across-services.json',
  },
  prometheusRules+:: {
    groups+: std.parseYaml(importstr '../prometheus/objectives.yml').groups + (import 'recording.json').groups,
  },
  prometheusAlerts+:: {
    groups+: (import 'alerts.json').groups,
  },
}
