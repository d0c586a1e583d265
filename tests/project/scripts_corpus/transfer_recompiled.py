# expect: KD702 KD711 KD716
import keras

keras.utils.set_random_seed(1)
base = keras.applications.Xception(weights="imagenet", include_top=False, input_shape=(150, 150, 3))
base.trainable = False
inputs = keras.Input((150, 150, 3))
x = base(inputs, training=False)
x = keras.layers.GlobalAveragePooling2D()(x)
outputs = keras.layers.Dense(1)(keras.layers.Dropout(0.2)(x))
model = keras.Model(inputs, outputs)
model.compile(optimizer=keras.optimizers.Adam(), loss=keras.losses.BinaryCrossentropy(from_logits=True))
model.fit(train_ds, epochs=2, validation_data=validation_ds)
base.trainable = True
model.compile(optimizer=keras.optimizers.Adam(1e-5), loss=keras.losses.BinaryCrossentropy(from_logits=True))
model.fit(train_ds, epochs=1, validation_data=validation_ds)
