# expect: KD701 KD702 KD711 KD716
import keras
from keras import layers

title = keras.Input(shape=(None,), name="title")
tags = keras.Input(shape=(12,), name="tags")
features = layers.LSTM(128)(layers.Embedding(10000, 64)(title))
x = layers.concatenate([features, tags])
priority = layers.Dense(1, name="priority")(x)
department = layers.Dense(4, name="department")(x)
model = keras.Model(inputs=[title, tags], outputs={"priority": priority, "department": department})
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "priority": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
)
model.fit({"title": t, "tags": g}, {"priority": p, "department": d}, epochs=2, batch_size=32)
