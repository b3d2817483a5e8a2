"""The web app: predict, watch live, see the model, teach a new one, chat about it.

```
uvicorn ── guards ── API and pages ── Engine ── LoadedModel
                          │
                        teach ── class folders ── retrain, in a process of its own
```
"""
