{{- /* What a spec names, as CEL over `object` or `oldObject`. A test holds both lists against the schema of the CRD. */ -}}

{{- /* Each key of a Secret with the address that it is sent to. */ -}}
{{- define "ragops.references" -}}
(has({{ . }}.spec.vectorStore) && has({{ . }}.spec.vectorStore.externalQdrant) && has({{ . }}.spec.vectorStore.externalQdrant.apiKeySecretRef)
? [{{ . }}.spec.vectorStore.externalQdrant.apiKeySecretRef.name + " " + {{ . }}.spec.vectorStore.externalQdrant.apiKeySecretRef.key + " " + {{ . }}.spec.vectorStore.externalQdrant.url] : [])
+ (has({{ . }}.spec.embedding) && has({{ . }}.spec.embedding.openAI) && has({{ . }}.spec.embedding.openAI.secretRef)
? [{{ . }}.spec.embedding.openAI.secretRef.name + " " + {{ . }}.spec.embedding.openAI.secretRef.key + " " + {{ . }}.spec.embedding.openAI.baseUrl] : [])
+ (has({{ . }}.spec.retrieval) && has({{ . }}.spec.retrieval.rerank) && has({{ . }}.spec.retrieval.rerank.secretRef)
? [{{ . }}.spec.retrieval.rerank.secretRef.name + " " + {{ . }}.spec.retrieval.rerank.secretRef.key + " " + {{ . }}.spec.retrieval.rerank.baseUrl] : [])
+ (has({{ . }}.spec.records) && has({{ . }}.spec.records.postgres)
? [{{ . }}.spec.records.postgres.secretRef.name] : [])
+ (has({{ . }}.spec.tracing) && has({{ . }}.spec.tracing.secretRef)
? [{{ . }}.spec.tracing.secretRef.name + " " + {{ . }}.spec.tracing.secretRef.key + " " + {{ . }}.spec.tracing.endpoint] : [])
+ (has({{ . }}.spec.generation) && has({{ . }}.spec.generation.providers)
? {{ . }}.spec.generation.providers.filter(p, has(p.secretRef)).map(p, p.secretRef.name + " " + p.secretRef.key + " " + p.baseUrl) : [])
+ (has({{ . }}.spec.cache) && has({{ . }}.spec.cache.redis) && has({{ . }}.spec.cache.redis.secretRef)
? [{{ . }}.spec.cache.redis.secretRef.name + " " + {{ . }}.spec.cache.redis.url] : [])
+ (has({{ . }}.spec.vectorStore) && has({{ . }}.spec.vectorStore.qdrant) && has({{ . }}.spec.vectorStore.qdrant.podTemplate) && has({{ . }}.spec.vectorStore.qdrant.podTemplate.imagePullSecrets)
? {{ . }}.spec.vectorStore.qdrant.podTemplate.imagePullSecrets.map(s, s.name) : [])
+ (has({{ . }}.spec.podTemplate) && has({{ . }}.spec.podTemplate.imagePullSecrets)
? {{ . }}.spec.podTemplate.imagePullSecrets.map(s, s.name) : [])
{{- end -}}

{{- /* The same of what only the Jobs of snapshots use: with the bucket, since whoever names another one sends the archive there. */ -}}
{{- define "ragops.snapshotReferences" -}}
(has({{ . }}.spec.snapshots) && has({{ . }}.spec.snapshots.destinations)
? {{ . }}.spec.snapshots.destinations.filter(p, has(p.s3)).map(p, p.s3.secretRef.name + " " + (has(p.s3.endpoint) ? p.s3.endpoint : "") + " " + p.s3.bucket) : [])
+ (has({{ . }}.spec.snapshots) && has({{ . }}.spec.snapshots.encryption)
? [{{ . }}.spec.snapshots.encryption.secretRef.name] : [])
+ (has({{ . }}.spec.snapshots) && has({{ . }}.spec.snapshots.signing)
? [{{ . }}.spec.snapshots.signing.secretRef.name] : [])
{{- end -}}

{{- /* The images, in a fixed order: whoever chooses one reads what is mounted beside it. */ -}}
{{- define "ragops.images" -}}
[has({{ . }}.spec.image) ? {{ . }}.spec.image : "",
has({{ . }}.spec.vectorStore) && has({{ . }}.spec.vectorStore.qdrant) && has({{ . }}.spec.vectorStore.qdrant.image) ? {{ . }}.spec.vectorStore.qdrant.image : ""]
{{- end -}}

{{- /* One CEL expression may ask the authorizer twice, so that many pairs cover every Secret that a spec can name. */ -}}
{{- define "ragops.pairs" -}}13{{- end -}}
{{- define "ragops.snapshotPairs" -}}3{{- end -}}
